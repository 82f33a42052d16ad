//go:build unix

package probe

import (
	"errors"
	"net"
	"syscall"
)

// closedByPeer says whether the other side has closed or reset the connection,
// as far as the kernel knows now. It reads nothing.
func closedByPeer(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var next [5]byte
		n, _, err := syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil, n == 0:
			gone = true
		default:
			gone = alert(next)
		}
	})
	return gone || err != nil
}
