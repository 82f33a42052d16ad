package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Room is a bound for the processes and threads of a user who has others too,
// which leaves so many to what is started now and a few more: a bound that a fork
// bomb runs against is to be beyond the limit at which it is seen.
func Room(uid, most int) int {
	all, err := All()
	if err != nil {
		return 0
	}
	count := most + most/4
	for _, p := range all {
		var about unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(p.PID), &about) == nil && int(about.Uid) == uid {
			count += p.Threads
		}
	}
	return count
}

// StartWithin starts a command as this process's own user, with a bound as Room
// says it. Nobody must have more threads than that already whom this process
// cannot see, as users of the same number in other containers: there is no bound
// then. Zero is no bound.
func StartWithin(cmd *exec.Cmd, most int) error {
	room := 0
	if most > 0 {
		room = Room(os.Geteuid(), most)
	}
	if room == 0 {
		return cmd.Start()
	}
	var now syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NPROC, &now); err != nil {
		return fmt.Errorf("bound the number of processes: %w", err)
	}
	// What this process starts inherits the bound. It does not keep it itself: it
	// could start no thread when a fork bomb has taken all.
	bound := syscall.Rlimit{Cur: min(now.Cur, uint64(room)), Max: now.Max}
	if err := syscall.Setrlimit(unix.RLIMIT_NPROC, &bound); err != nil {
		return fmt.Errorf("bound the number of processes: %w", err)
	}
	if err := exec.Command("/bin/true").Run(); errors.Is(err, unix.EAGAIN) {
		_ = syscall.Setrlimit(unix.RLIMIT_NPROC, &now)
	}
	err := cmd.Start()
	if lifted := syscall.Setrlimit(unix.RLIMIT_NPROC, &now); err == nil {
		err = lifted
	}
	return err
}
