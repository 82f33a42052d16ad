// Rules measures whether the kernel refuses new connections while the rules of
// a Service change, for the two forms in which kube-proxy writes them. It is a
// program of its own and stands outside of the flow; no Kubernetes is in it.
//
//	go run ./bench/rules -for 2m
//
// A network namespace has a port that leads to three of six servers, like a
// node port. Again and again one transaction leads it to the other three, while
// clients connect. The servers never end, so nothing may be refused.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/bench/program"
)

// The forms of the rules: the endpoint is looked up in a map, as in kube-proxy's
// nftables mode, or found by one rule after the other, as in its iptables mode.
const (
	maps  = "nftables"
	chain = "iptables"
)

func main() {
	long := flag.Duration("for", time.Minute, "how long each form is tried, in four turns")
	workers := flag.Int("clients", 2, "clients that connect at the same time")
	program.Main("rules", func(ctx context.Context) error { return run(ctx, *long, *workers) })
}

func run(ctx context.Context, long time.Duration, workers int) (err error) {
	n, err := newNode(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close(context.WithoutCancel(ctx))) }()
	const turns = 4
	sums := map[string]*tally{maps: {}, chain: {}}
	for range turns {
		for _, form := range []string{maps, chain} {
			if err := n.turn(ctx, form, long/turns, workers, sums[form]); err != nil {
				return err
			}
		}
	}
	fmt.Println("| rules as in mode | changes | connections | refused | failed otherwise |\n|---|--:|--:|--:|--:|")
	for _, form := range []string{maps, chain} {
		s := sums[form]
		fmt.Printf("| %s | %d | %d | %d | %d |\n", form, s.changes.Load(), s.connections.Load(), s.refused.Load(), s.other.Load())
	}
	return nil
}

// tally is what the turns of one form have come to.
type tally struct{ changes, connections, refused, other atomic.Int64 }

// turn changes the rules and connects until the time is over.
func (n *node) turn(ctx context.Context, form string, long time.Duration, workers int, t *tally) error {
	if err := n.nft(ctx, table+endpoints(form, 0)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var clients sync.WaitGroup
	for w := range workers {
		clients.Go(func() {
			for i := w; ctx.Err() == nil; i += workers {
				t.count(connect(i))
			}
		})
	}
	var err error
	for set := 1; ctx.Err() == nil && err == nil; set = 1 - set {
		if err = n.nft(ctx, endpoints(form, set)); err == nil {
			t.changes.Add(1)
		}
	}
	over := ctx.Err() != nil
	cancel() // Nobody measures any more after a change that went wrong.
	clients.Wait()
	if over {
		return nil // The last change was cut short.
	}
	return err
}

func (t *tally) count(err error) {
	t.connections.Add(1)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		t.refused.Add(1)
	case err != nil:
		t.other.Add(1)
	}
}

// connect makes one connection, from one address after the other, so that no
// port comes again before the namespace has forgotten it.
func connect(i int) error {
	dialer := net.Dialer{
		Timeout:   5 * time.Second,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 200, 0, byte(firstClient+i%clients))},
		Control: func(_, _ string, socket syscall.RawConn) (err error) {
			return errors.Join(socket.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			}), err)
		},
	}
	c, err := dialer.Dial("tcp", nodeAddress+":30080")
	if err != nil {
		return err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // A reset leaves no port in use.
	}
	return c.Close()
}

// table is a node's table before a Service has endpoints.
var table = `table ip services
delete table ip services
table ip services {
  map nodeports { type inet_proto . inet_service : verdict; }
  chain service {}
  chain endpoint0 {}
  chain endpoint1 {}
  chain endpoint2 {}
  chain endpoint3 {}
  chain endpoint4 {}
  chain endpoint5 {}
  chain nat { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local meta l4proto . th dport vmap @nodeports
  }
}
add element ip services nodeports { tcp . 30080 : goto service }
`

// endpoints lead the Service to the servers of set 0 or 1, and to those alone.
func endpoints(form string, set int) string {
	var rules strings.Builder
	own, others := set*setSize, (1-set)*setSize
	rules.WriteString("flush chain ip services service\n")
	for i := range setSize {
		fmt.Fprintf(&rules, "flush chain ip services endpoint%d\nflush chain ip services endpoint%d\n", own+i, others+i)
		fmt.Fprintf(&rules, "add rule ip services endpoint%d meta l4proto tcp dnat to %s:%d\n", own+i, nodeAddress, firstServer+own+i)
	}
	rule := "add rule ip services service "
	if form == maps {
		fmt.Fprintf(&rules, rule+"numgen random mod 3 vmap { 0 : goto endpoint%d, 1 : goto endpoint%d, 2 : goto endpoint%d }\n", own, own+1, own+2)
		return rules.String()
	}
	fmt.Fprintf(&rules, rule+"numgen random mod 3 == 0 goto endpoint%d\n", own)
	fmt.Fprintf(&rules, rule+"numgen random mod 2 == 0 goto endpoint%d\n", own+1)
	fmt.Fprintf(&rules, rule+"goto endpoint%d\n", own+2)
	return rules.String()
}
