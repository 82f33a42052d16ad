package box

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// end waits for the end of a runner. It is told of that of a child, and looks
// again after a while for others.
type end struct {
	child *os.File // nil where the kernel cannot tell
	told  bool     // the kernel has
}

// watchEnd begins to wait for a child's end; 0 is none of this process's.
func watchEnd(child int) *end {
	if child == 0 {
		return &end{}
	}
	fd, err := unix.PidfdOpen(child, unix.PIDFD_NONBLOCK)
	if err != nil {
		return &end{}
	}
	return &end{child: os.NewFile(uintptr(fd), "pidfd")}
}

// wait returns when the runner may have ended, or ctx has.
func (e *end) wait(ctx context.Context) {
	if e.child != nil && !e.told && e.child.SetReadDeadline(time.Now().Add(lookEvery)) == nil {
		if conn, err := e.child.SyscallConn(); err == nil {
			_ = conn.Read(func(fd uintptr) bool {
				n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
				e.told = n > 0
				return e.told
			})
			return
		}
	}
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (e *end) close() {
	if e.child != nil {
		_ = e.child.Close()
	}
}
