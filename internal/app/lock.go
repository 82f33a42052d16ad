package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock makes this process the only server of a data directory. The kernel
// gives the lock back when the process ends, however it ends.
func lock(data string) (*os.File, error) {
	path := filepath.Join(data, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(file, 32))
		err = errors.Join(lockError(data, strings.TrimSpace(string(holder)), err), file.Close())
		return nil, err
	}
	// The number is for the message above alone.
	_ = file.Truncate(0)
	_, _ = file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return file, nil
}

func lockError(data, holder string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", data, err)
	}
	return fmt.Errorf("another server (process %s) uses %s: stop it, or choose another directory with --data DIR", holder, data)
}
