//go:build unix

package drain

import (
	"net"
	"syscall"
)

// await waits until there is something to read, or nothing more to come. It
// reads nothing.
func await(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { return !dry(fd) })
}

// readable tells whether there is something to read at this moment, be it the
// end.
func readable(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	is := true
	if raw.Control(func(fd uintptr) { is = !dry(fd) }) != nil {
		return true
	}
	return is
}

func dry(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}
