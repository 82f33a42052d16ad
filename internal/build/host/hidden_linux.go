package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
)

// hidden is what a runner gets to know and no file may hold.
type hidden struct {
	Values     build.Values `json:"values"`
	Kubeconfig []byte       `json:"kubeconfig,omitempty"`
}

// handOver asks for what is hidden and returns a file with it that lies in
// memory and has no name: who inherits it reads it.
func handOver(ctx context.Context, b build.Build) (*os.File, error) {
	var h hidden
	var err error
	if b.Values != nil {
		if h.Values, err = b.Values(ctx); err != nil {
			return nil, err
		}
	}
	if b.Kubeconfig != nil {
		if h.Kubeconfig, err = b.Kubeconfig(ctx); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("hand over the build's secrets: %w", err)
	}
	fd, err := unix.MemfdCreate("build", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hand over the build's secrets: %w", err)
	}
	file := os.NewFile(uintptr(fd), "build")
	if _, err = file.Write(text); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("hand over the build's secrets: %w", err)
	}
	return file, nil
}

// takeOver reads what the server has handed over, and closes the file before
// any command of the build can run.
func takeOver() (hidden, error) {
	var h hidden
	file := os.NewFile(hiddenFD, "build")
	err := json.NewDecoder(file).Decode(&h)
	_ = file.Close()
	if err != nil {
		return h, fmt.Errorf("take over the build's secrets: %w", err)
	}
	return h, nil
}
