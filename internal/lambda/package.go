package lambda

import (
	"archive/zip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/flate"
)

// Package is what a function's zip is made of.
type Package struct {
	Executable string // this program, for Linux
	Kubeconfig string // file that goes along, "" for none
}

// machines are Lambda's architectures.
var machines = map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "arm64"}

// Write writes the zip, the same bytes for the same files, and returns the
// architecture that the function is to have.
func (p Package) Write(to io.Writer) (architecture string, err error) {
	program, err := os.Open(p.Executable)
	if err != nil {
		return "", fmt.Errorf("read the program: %w", err)
	}
	defer program.Close()
	if architecture, err = inspect(program); err != nil {
		return "", fmt.Errorf("%s %w: build one with GOOS=linux CGO_ENABLED=0 and name it with --executable", p.Executable, err)
	}
	archive := zip.NewWriter(to)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) })
	if err := add(archive, "bootstrap", 0o755, program); err != nil {
		return "", err
	}
	if p.Kubeconfig != "" {
		file, err := os.Open(p.Kubeconfig)
		if err != nil {
			return "", fmt.Errorf("read the kubeconfig: %w", err)
		}
		defer file.Close()
		if err := add(archive, KubeconfigFile, 0o644, file); err != nil {
			return "", err
		}
	}
	return architecture, archive.Close()
}

// inspect finds out whether Lambda can run a program.
func inspect(file io.ReaderAt) (architecture string, err error) {
	program, err := elf.NewFile(file)
	if err != nil {
		return "", errors.New("is no program for Linux")
	}
	architecture, ok := machines[program.Machine]
	if !ok {
		return "", fmt.Errorf("is for %s, which Lambda does not have", program.Machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return "", errors.New("needs shared libraries, which Lambda may not have")
		}
	}
	return architecture, nil
}

func add(archive *zip.Writer, name string, mode os.FileMode, from io.Reader) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, ModifiedDate: 1<<5 | 1} //nolint:staticcheck // Modified adds an extra field
	header.SetMode(mode)
	w, err := archive.CreateHeader(header)
	if err == nil {
		_, err = io.Copy(w, from)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}
