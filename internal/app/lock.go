package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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
	// The number is for the message above and for Holder.
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

// Holder is the process that serves a data directory now, or 0. It asks the
// kernel, since what a killed server has written down may have become another
// process by now.
func Holder(data string) (pid int, err error) {
	file, err := os.Open(filepath.Join(data, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open lock: %w", err)
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0, fmt.Errorf("look at lock of %s: %w", data, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0, fmt.Errorf("read lock of %s: %w", data, err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid <= 0 {
		return 0, fmt.Errorf("the server that uses %s is just starting: try again", data)
	}
	return pid, nil
}
