package function

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// ownedBy tells whether the other side of a connection on this machine's
// loopback belongs to a user; -1 stands for any.
func ownedBy(uid int) func(net.Conn) bool {
	return func(conn net.Conn) bool {
		if uid < 0 {
			return true
		}
		theirs, ours, err := portsOf(conn)
		if err != nil {
			return false
		}
		owner, err := ownerOf(theirs, ours)
		return err == nil && owner == uid
	}
}

// ownerOf is the user ID behind a connection from one port of 127.0.0.1 to
// another. The kernel's table is the only witness that cannot lie.
func ownerOf(from, to int) (int, error) {
	for _, table := range []struct{ path, loopback string }{
		{"/proc/self/net/tcp", "0100007F"},
		{"/proc/self/net/tcp6", "0000000000000000FFFF00000100007F"}, // a client may use such a socket for IPv4
	} {
		file, err := os.Open(table.path)
		if err != nil {
			continue
		}
		uid, found := findOwner(bufio.NewScanner(file), fmt.Sprintf("%s:%04X", table.loopback, from), fmt.Sprintf("%s:%04X", table.loopback, to))
		_ = file.Close()
		if found {
			return uid, nil
		}
	}
	return 0, fmt.Errorf("find the owner of port %d: it is in no table", from)
}

// findOwner reads a table of sockets as /proc shows it.
func findOwner(lines *bufio.Scanner, local, remote string) (uid int, found bool) {
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[1] != local || fields[2] != remote {
			continue
		}
		uid, err := strconv.Atoi(fields[7])
		return uid, err == nil
	}
	return 0, false
}
