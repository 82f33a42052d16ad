package localkube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// reachable checks that node n gets through to the API server and to node 1.
// A firewall that was made before the bridge often drops such packets, and the
// components would only say that they wait.
func (p plan) reachable(ctx context.Context, n int) error {
	bridge := p.bridge()
	api := address(p.host(), apiPort)
	if err := p.dialFrom(ctx, n, api); err != nil {
		return &Error{
			Message: fmt.Sprintf("%s cannot connect to the API server at %s: a firewall on this machine seems to refuse what comes from %s", nodeName(n), api, bridge),
			Hint: fmt.Sprintf("allow it: firewall-cmd --zone=trusted --add-interface=%[1]s, or ufw allow in on %[1]s, or nft insert rule TABLE CHAIN iifname %[1]s accept; then run towline cluster up again",
				bridge),
			Err: err,
		}
	}
	if n == 1 {
		return nil
	}
	// Any answer will do, so a kubelet that is not there yet is no fault.
	peer := address(p.layout.node(1), kubeletPort)
	if err := p.dialFrom(ctx, n, peer); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return &Error{
			Message: fmt.Sprintf("%s cannot connect to %s: a firewall on this machine seems to drop what %s forwards, as Docker's does", nodeName(n), nodeName(1), bridge),
			Hint: fmt.Sprintf("allow it: iptables -I DOCKER-USER -i %[1]s -j ACCEPT and iptables -I DOCKER-USER -o %[1]s -j ACCEPT; then run towline cluster up again",
				bridge),
			Err: err,
		}
	}
	return nil
}

// dialFrom connects from inside the node's network namespace.
func (p plan) dialFrom(ctx context.Context, n int, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return poll(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		return inNetNS(p.netns(n), func() error {
			// An address of digits is dialled by this very thread.
			conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp4", address)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	})
}
