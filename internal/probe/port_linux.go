package probe

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// choosePortLate leaves the choice of a port to the connect. A bind would take
// one for all targets at once, of which there are not enough.
func choosePortLate(_, _ string, socket syscall.RawConn) error {
	var refused error
	err := socket.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return refused
}
