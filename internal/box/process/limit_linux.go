package process

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limit bounds what each process may use. Core files of programs
// that crash would fill the disk; the number of open files is what servers allow.
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
	return Bound(map[int]uint64{unix.RLIMIT_NPROC: uint64(most)})
}

// Bound sets limits, as setrlimit(2) names them, of this process and what it
// starts. None can lift them.
func Bound(limits map[int]uint64) error {
	for resource, most := range limits {
		var now syscall.Rlimit
		err := syscall.Getrlimit(resource, &now)
		if err == nil {
			most = min(most, now.Max)
			err = syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most})
		}
		if err != nil {
			return fmt.Errorf("bound what may be used: %w", err)
		}
	}
	return nil
}

// Yield lets the kernel end this process and what it starts before the server and
// others, when the memory of the machine runs out.
func Yield() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0) }

// KeepRights sees to it that no program which this process starts gets more
// rights than its user has: not sudo, nor any other setuid program. It is asked
// of all threads, since each may start one. A binary with cgo cannot do
// that; Towline is built without.
func KeepRights() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 && errno != unix.ENOTSUP {
		return fmt.Errorf("keep what runs from getting more rights: %w", errno)
	}
	return nil
}
