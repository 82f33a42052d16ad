// Package drain is the draining proxy: it stands in a pod before an
// application that cuts connections when it is told to end, and empties the
// pod before the application hears of its end.
//
// It is a relay. Each connection of a client has one connection of its own to
// the application, and all bytes go through as they are: heads, bodies,
// trailers, interim answers, upgrades, errors. It reads just enough of
// HTTP/1.1 (http1.go) and HTTP/2 (http2.go) to see where messages begin and
// end, and changes two things only: a request of HTTP/1.1 gets an
// X-Forwarded-For, and while it drains an answer gets "Connection: close", a
// connection of HTTP/2 a GOAWAY. What it does not understand, such as TLS, it
// passes on without looking at it. It never answers by itself and never sends
// anything twice.
//
// A drain has three phases. Detach: new connections are still taken, since not
// every node knows yet that the pod ends, and each client is told with its
// next answer that it must go elsewhere. Close: connections that had no
// request for that long are closed, and what is in flight is waited for. Then
// it is drained, and the application may end; the proxy goes on relaying, for
// the application may still have to say goodbye on a WebSocket.
//
// The order matters: a connection that is closed without a word may have the
// next request on its way already. See relay.close for how small that window
// is made; what still fell into it is counted and logged.
//
// The room knows sockets, nothing of Kubernetes. How a pod's end begins the
// drain, and how the application's end waits for it, is in manifest.
package drain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The defaults of Config.
const (
	DefaultDetach  = 10 * time.Second
	DefaultLongest = 15 * time.Second
	DefaultAdmin   = 15190
)

// lingerTime is how long a client may take to close a connection that it was
// told to close, and how long connections have to end once the proxy is told
// to end after a drain.
const lingerTime = 2 * time.Second

// Pair leads from a port that clients connect to, to one of the application.
type Pair struct {
	Listen int
	Target int
}

// ParsePair reads "15191=8080".
func ParsePair(text string) (Pair, error) {
	listen, target, ok := strings.Cut(text, "=")
	l, errL := strconv.Atoi(listen)
	t, errT := strconv.Atoi(target)
	if !ok || errL != nil || errT != nil || l < 1 || l > 65535 || t < 1 || t > 65535 || l == t {
		return Pair{}, fmt.Errorf("port pair %q: want LISTEN=TARGET with two different ports, such as 15191=8080", text)
	}
	return Pair{Listen: l, Target: t}, nil
}

func (p Pair) String() string { return fmt.Sprintf("%d=%d", p.Listen, p.Target) }

// Config says between which ports to relay. Only Pairs is required.
type Config struct {
	// Pairs are the ports. The application is reached by the address that the
	// client used, not by localhost: else every client would look like a local
	// one to it.
	Pairs []Pair
	// Host is the address to listen on, default every one.
	Host string
	// Admin is the port of the requests in admin.go. Zero means DefaultAdmin.
	Admin int
	// Detach is how long clients that know nothing of the pod's end yet are
	// waited for. Zero means DefaultDetach.
	Detach time.Duration
	// Longest is how long what is in flight after Detach may take. Zero means
	// DefaultLongest.
	Longest time.Duration
	// Logger hears of the phases. Default: nobody.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Admin = cmp.Or(c.Admin, DefaultAdmin)
	c.Detach = cmp.Or(c.Detach, DefaultDetach)
	c.Longest = cmp.Or(c.Longest, DefaultLongest)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// proxy is one running Serve.
type proxy struct {
	Config
	drain     *drain
	closes    closes
	relays    sync.Map // *relay -> struct{}
	accepting sync.WaitGroup
	running   sync.WaitGroup
}

// Serve relays until ctx ends. When a drain has been begun by then (see
// admin.go), it ends with it; else it begins one then, and returns when all is
// answered. An error means that a port could not be listened on.
func Serve(ctx context.Context, config Config) error {
	p := &proxy{Config: config.withDefaults(), drain: newDrain()}
	listeners, admin, err := p.listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.admin(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10}
	go func() { _ = server.Serve(admin) }()
	for i, listener := range listeners {
		p.accepting.Go(func() { p.accept(listener, p.Pairs[i].Target) })
	}
	p.Logger.Info("relay", "ports", fmt.Sprint(p.Pairs), "detach", p.Detach.String())
	go func() {
		<-ctx.Done()
		p.drain.begin()
	}()
	p.run()
	<-ctx.Done()
	p.end(listeners)
	return errors.Join(server.Close())
}

// listen opens all ports or none.
func (p *proxy) listen(ctx context.Context) (listeners []net.Listener, admin net.Listener, err error) {
	if len(p.Pairs) == 0 {
		return nil, nil, errors.New("no ports to relay between: name at least one pair LISTEN=TARGET")
	}
	var open net.ListenConfig
	ports := []int{p.Admin}
	for _, pair := range p.Pairs {
		ports = append(ports, pair.Listen)
	}
	for _, port := range ports {
		l, err := open.Listen(ctx, "tcp", net.JoinHostPort(p.Host, strconv.Itoa(port)))
		if err != nil {
			for _, other := range listeners {
				_ = other.Close()
			}
			return nil, nil, fmt.Errorf("listen on port %d: %w", port, err)
		}
		listeners = append(listeners, l)
	}
	return listeners[1:], listeners[0], nil
}

// accept relays every connection of one port until the listener is closed.
func (p *proxy) accept(listener net.Listener, target int) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.Logger.Warn("accept a connection", "error", err)
			time.Sleep(10 * time.Millisecond) // no descriptors left: some will be given back
			continue
		}
		client, ok := conn.(*net.TCPConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		p.running.Go(func() { p.relay(client, target) })
	}
}

// end gives the connections that are still open a moment to end, and cuts
// those that do not.
func (p *proxy) end(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
	p.accepting.Wait()
	ended := make(chan struct{})
	go func() { p.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(lingerTime):
	}
	for _, r := range p.open() {
		r.cut()
	}
	<-ended
}

// open are the relays of this moment.
func (p *proxy) open() []*relay {
	var all []*relay
	p.relays.Range(func(key, _ any) bool {
		if r, ok := key.(*relay); ok {
			all = append(all, r)
		}
		return true
	})
	return slices.Clip(all)
}
