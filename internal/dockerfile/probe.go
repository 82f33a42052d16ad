package dockerfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// probeLimit is the longest that a probe may take, of which most is for a daemon
// that has to be compiled first.
const probeLimit = 30 * time.Minute

// probe builds the smallest Dockerfile with a RUN, which is what needs rights:
// that a program is there says little.
func probe(ctx context.Context, way Way, like Build) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("the probe did not end in %v", probeLimit))
	defer cancel()
	// The output's owner removes it after a kill.
	dir, err := os.MkdirTemp(filepath.Dir(like.Output), "towline-dockerfile-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source := filepath.Join(dir, "source")
	text := "FROM scratch\nCOPY probe /probe\nRUN [\"/probe\"]\n"
	if err := errors.Join(os.Mkdir(source, 0o755), os.WriteFile(filepath.Join(source, "Dockerfile"), []byte(text), 0o600)); err != nil {
		return err
	}
	if err := writeProbe(filepath.Join(source, "probe")); err != nil {
		return err
	}
	var said bytes.Buffer
	_, err = way.Build(ctx, Build{
		Dir: source, File: filepath.Join(source, "Dockerfile"), Context: source, NoCache: true, Output: filepath.Join(dir, "output"), Limits: DefaultLimits(),
		Log: &said, Progress: like.Progress,
		Credential: func(context.Context, string) (Credential, error) { return Credential{}, nil },
	})
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		// Its Dockerfile is right, so it is not the user's to mend. Why containers
		// do not run stands in what was said before.
		return fmt.Errorf("it cannot run a command in a container: %s%s", refused.Message, lastOf(said.String()))
	}
	return err
}

// lastOf are the last lines of a log, to be put behind what it explains.
func lastOf(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	lines = lines[max(0, len(lines)-3):]
	if lines[0] == "" {
		return ""
	}
	return fmt.Sprintf(" (%.1000s)", strings.Join(lines, " / "))
}

// exit are programs that end with status 0, by GOARCH.
var exit = map[string]struct {
	machine byte
	code    []byte
}{
	"amd64": {62, []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}},                      // xor edi, edi; mov eax, 60; syscall
	"arm64": {183, []byte{0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4}}, // mov x0, 0; mov x8, 93; svc 0
}

// writeProbe writes a program that needs nothing and ends well: a hand-made one
// of some hundred bytes, or this program itself, asked for its version.
func writeProbe(file string) error {
	if program, ok := exit[runtime.GOARCH]; ok {
		return writeProgram(file, bytes.NewReader(tinyELF(program.machine, program.code)))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	return writeProgram(file, from)
}

func writeProgram(file string, from io.Reader) (err error) {
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	_, err = io.Copy(to, from)
	return err
}

// tinyELF is a static program of nothing but that code: a header, one segment
// that holds the whole file, the code.
func tinyELF(machine byte, code []byte) []byte {
	const head, segment, at = 64, 56, 0x400000
	size := uint64(head + segment + len(code))
	b := make([]byte, head+segment, size)
	put := binary.LittleEndian
	copy(b, "\x7fELF\x02\x01\x01")         // 64 bits, little endian, version 1
	put.PutUint16(b[16:], 2)               // executable
	put.PutUint16(b[18:], uint16(machine)) //
	put.PutUint32(b[20:], 1)               // version
	put.PutUint64(b[24:], at+head+segment) // entry
	put.PutUint64(b[32:], head)            // segments
	put.PutUint16(b[52:], head)            // sizes
	put.PutUint16(b[54:], segment)         //
	put.PutUint16(b[56:], 1)               // one segment
	p := b[head:]                          //
	put.PutUint32(p, 1)                    // to be loaded
	put.PutUint32(p[4:], 5)                // readable, executable
	put.PutUint64(p[16:], at)              // virtual and
	put.PutUint64(p[24:], at)              // physical address
	put.PutUint64(p[32:], size)            // in the file
	put.PutUint64(p[40:], size)            // in memory
	put.PutUint64(p[48:], 0x1000)          // alignment
	return append(b, code...)
}
