package agent

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// executable is a program that can be an image's only file.
type executable struct {
	path     string
	sum      string // SHA-256, in hex
	size     int64
	platform v1.Platform
}

// machines are the architectures by their names in images.
var machines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64",
}

// inspect finds out whether a file can run in an image where nothing else is.
func inspect(path string) (e executable, err error) {
	f, err := os.Open(path)
	if err != nil {
		return e, fmt.Errorf("read the program for the agent image: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	program, err := elf.NewFile(f)
	if err != nil {
		return e, fmt.Errorf("%s is no program for Linux, and the agent runs in a cluster of it: build one with GOOS=linux CGO_ENABLED=0 and name it with --executable", path)
	}
	architecture, known := machines[program.Machine]
	if !known {
		return e, fmt.Errorf("%s is a program for %s, which no image can say", path, program.Machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return e, fmt.Errorf("%s needs shared libraries, which the agent image does not have: build it with CGO_ENABLED=0 and name it with --executable", path)
		}
	}
	sum := sha256.New()
	size, err := io.Copy(sum, io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return e, fmt.Errorf("read the program for the agent image: %w", err)
	}
	return executable{path: path, sum: hex.EncodeToString(sum.Sum(nil)), size: size, platform: v1.Platform{OS: "linux", Architecture: architecture}}, nil
}

// running is the path of this program.
func running() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil // also when the file was replaced since
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}
