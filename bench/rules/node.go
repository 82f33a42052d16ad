package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netns"
)

// What is where.
const (
	namespace   = "bench-rules"
	nodeAddress = "10.200.0.2"
	setSize     = 3
	firstServer = 8080 // port of server 0
	firstClient = 100  // last byte of the first client's address
	clients     = 64   // addresses that connections come from
)

// node is a network namespace with servers in it.
type node struct{ servers []net.Listener }

// newNode makes the namespace, its link to this machine, and the servers.
func newNode(ctx context.Context) (*node, error) {
	n := &node{}
	commands := []string{
		"netns add " + namespace,
		"link add bench-rules0 type veth peer name bench-rules1 netns " + namespace,
		"addr add 10.200.0.1/24 dev bench-rules0",
		"link set bench-rules0 up",
		"-n " + namespace + " addr add " + nodeAddress + "/24 dev bench-rules1",
		"-n " + namespace + " link set bench-rules1 up",
		"-n " + namespace + " link set lo up",
	}
	for i := range clients {
		commands = append(commands, fmt.Sprintf("addr add 10.200.0.%d/32 dev bench-rules0", firstClient+i))
	}
	for _, command := range commands {
		if err := ip(ctx, command); err != nil {
			return nil, errors.Join(err, n.close(context.WithoutCancel(ctx)))
		}
	}
	if err := n.serve(ctx); err != nil {
		return nil, errors.Join(err, n.close(context.WithoutCancel(ctx)))
	}
	return n, nil
}

// serve starts the servers. A socket belongs to the namespace that its thread
// was in when it was made, which is why one thread goes there for a moment.
func (n *node) serve(ctx context.Context) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := netns.GetFromName(namespace)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		return err
	}
	defer func() {
		// A thread that cannot go back stays locked, and ends with its goroutine.
		back := netns.Set(home)
		if back == nil {
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, back)
	}()
	for i := range 2 * setSize {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp4", net.JoinHostPort(nodeAddress, strconv.Itoa(firstServer+i)))
		if err != nil {
			return err
		}
		n.servers = append(n.servers, l)
		go accept(l)
	}
	return nil
}

// accept holds each connection until its client closes it.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go func() {
				_, _ = io.Copy(io.Discard, c) // ends with a reset
				_ = c.Close()
			}()
		}
	}
}

// nft makes a transaction in the namespace.
func (n *node) nft(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", namespace, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run nft: %w: %s", err, out)
	}
	return nil
}

// close leaves nothing behind. The link goes with the namespace.
func (n *node) close(ctx context.Context) error {
	for _, l := range n.servers {
		_ = l.Close()
	}
	return ip(ctx, "netns del "+namespace)
}

func ip(ctx context.Context, command string) error {
	if out, err := exec.CommandContext(ctx, "ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, out)
	}
	return nil
}
