package localkube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New("locked by another process")

// tryLock takes an exclusive lock, which ends with the returned file or with
// the process. A lock that is held elsewhere is errLocked.
func tryLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	// Down removes lock files while it holds them. Whoever opened one just
	// before then holds a lock on a file without a name, which keeps nobody
	// out: that counts as not locked yet.
	if err == nil && !sameFile(f, path) {
		err = errLocked
	}
	if err != nil {
		f.Close()
		if !errors.Is(err, errLocked) {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, err
	}
	return f, nil
}

// isLocked tells whether another process holds the lock. Unlike tryLock it
// leaves no file behind where there was none.
func isLocked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func sameFile(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(ours, named)
}

// lock waits for the lock and calls busy once if it has to.
func lock(ctx context.Context, path string, busy func()) (*os.File, error) {
	for told := false; ; {
		f, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		if !told {
			busy()
			told = true
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("wait for the lock %s: %w", path, err)
		}
	}
}

// pause waits that long, or until the context ends, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// poll calls check until it returns nil, and gives its last error when the
// context ends first.
func poll(ctx context.Context, every time.Duration, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if pause(ctx, every) != nil {
			return err
		}
	}
}
