package process

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limit bounds what each process of the build may use. Core files of crashing
// tests would fill the disk; the number of open files is what servers allow.
func Limit() {
	_ = syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{})
	var files syscall.Rlimit
	if syscall.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Cur = min(files.Max, 65536)
		_ = syscall.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
}

// LimitCount bounds the processes and threads of the users as whom this process,
// which is root, starts others: these inherit the bound, and cannot lift it.
// Root itself is exempt. Zero, as a server that knew no bound left it, is none.
func LimitCount(most int) error {
	if most <= 0 {
		return nil
	}
	var limit syscall.Rlimit
	err := syscall.Getrlimit(unix.RLIMIT_NPROC, &limit)
	if err == nil {
		limit.Max = min(limit.Max, uint64(most))
		limit.Cur = limit.Max
		err = syscall.Setrlimit(unix.RLIMIT_NPROC, &limit)
	}
	if err != nil {
		return fmt.Errorf("bound the number of the build's processes: %w", err)
	}
	return nil
}

// KeepRights sees to it that no program which the build starts gets more rights
// than the build's user has: not sudo, nor any other setuid program. It is
// asked of all threads, since each may start one. A binary with cgo cannot do
// that; Towline is built without.
func KeepRights() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 && errno != unix.ENOTSUP {
		return fmt.Errorf("keep the build from getting more rights: %w", errno)
	}
	return nil
}
