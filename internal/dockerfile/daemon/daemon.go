// Package daemon runs a BuildKit of Towline's own: buildkitd, found or compiled,
// started when the first build wants it and stopped when none has for a while.
// Its noun is the Daemon. It lives in namespaces of its own as their first
// process, so that its end, however it comes, is that of all that it started:
// containers, mounts, sockets. It ends with the server, also when that is killed;
// builds are done again then, and find in its cache what was done.
//
// The room does not know what is built.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/towline/towline/internal/dockerfile/enclosure"
)

// Config says where a daemon keeps its files and what it may use.
type Config struct {
	// Dir is its directory, for it alone: the cache, the socket, the log.
	Dir string
	// Program is the command line of a process that calls enclosure.Main, to which
	// arguments are appended.
	Program []string
	// Find returns the path of buildkitd. It may take minutes; progress tells
	// what it does.
	Find func(ctx context.Context, progress func(string)) (string, error)
	// CacheLimit is how much is kept between builds, in bytes.
	CacheLimit int64
	// Insecure are the registries, host:port, that are spoken to without TLS.
	Insecure []string
	// Idle is how long it runs on without a build.
	Idle   time.Duration
	Logger *slog.Logger
}

// Daemon is a buildkitd that runs while it is needed.
type Daemon struct {
	config Config
	turn   chan struct{} // held by who starts or stops it

	mu      sync.Mutex
	running *process // nil before the first start
	users   int
	stop    *time.Timer // runs while nobody uses it
}

// New returns a daemon that does not run yet.
func New(config Config) *Daemon {
	return &Daemon{config: config, turn: make(chan struct{}, 1)}
}

// Use starts the daemon unless it runs, and keeps it running until release is
// called, if nothing ends it.
func (d *Daemon) Use(ctx context.Context, progress func(string)) (dial func(context.Context) (net.Conn, error), release func(), err error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	d.mu.Lock()
	d.users++
	if d.stop != nil {
		d.stop.Stop()
		d.stop = nil
	}
	p := d.running
	d.mu.Unlock()
	if p == nil || !d.answers(ctx, p) {
		if err := d.start(ctx, progress); err != nil {
			d.release()
			return nil, nil, err
		}
	}
	return d.dial, sync.OnceFunc(d.release), nil
}

// answers tells whether a process that was started listens still. One that does
// not is ended: it may have died so lately that nobody has noticed.
func (d *Daemon) answers(ctx context.Context, p *process) bool {
	if p.ended() != "" {
		return false
	}
	conn, err := d.dial(ctx)
	if err == nil {
		return conn.Close() == nil
	}
	if ctx.Err() == nil {
		p.stop()
	}
	return false
}

func (d *Daemon) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users == 0 && d.running != nil {
		d.stop = time.AfterFunc(d.config.Idle, d.stopIdle)
	}
}

func (d *Daemon) stopIdle() {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.mu.Lock()
	p := d.running
	if d.users > 0 {
		p = nil
	}
	d.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

// Ended says why it does not run any more, "" while it runs. It gives one that is
// about to end that long: connections to it end before it does.
func (d *Daemon) Ended(within time.Duration) string {
	d.mu.Lock()
	p := d.running
	d.mu.Unlock()
	if p == nil {
		return ""
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	return p.ended()
}

// Close stops the daemon, whoever uses it.
func (d *Daemon) Close() {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.mu.Lock()
	p := d.running
	if d.stop != nil {
		d.stop.Stop()
	}
	d.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

// startWithin is how long a started daemon may take to listen, with room for a
// busy machine: on an idle one it takes a tenth of a second.
const startWithin = time.Minute

func (d *Daemon) start(ctx context.Context, progress func(string)) error {
	containers, err := enclosure.Runtime()
	if err != nil {
		return err
	}
	program, err := d.config.Find(ctx, progress)
	if err != nil {
		return err
	}
	progress("start BuildKit")
	if err := d.prepare(containers); err != nil {
		return err
	}
	p, err := d.launch(program)
	if err != nil {
		return fmt.Errorf("start BuildKit: %w", err)
	}
	d.mu.Lock()
	d.running = p
	d.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("it does not listen after %v", startWithin))
	defer cancel()
	if err := d.listens(ctx, p); err != nil {
		p.stop()
		return fmt.Errorf("start BuildKit: %w; its log is %s", err, d.logFile())
	}
	d.config.Logger.Info("BuildKit runs", "program", program, "data", d.config.Dir)
	return nil
}

// listens waits until the daemon accepts connections.
func (d *Daemon) listens(ctx context.Context, p *process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := d.dial(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return errors.New(p.ended())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

const socketFile = "buildkitd.sock"

// dial connects to the daemon. A socket's path may have 107 bytes at most, and
// the data directory's may have more: it is named by a descriptor.
func (d *Daemon) dial(ctx context.Context) (net.Conn, error) {
	dir, err := os.Open(d.runDir())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketFile))
}

func (d *Daemon) runDir() string  { return filepath.Join(d.config.Dir, "run") }
func (d *Daemon) logFile() string { return filepath.Join(d.config.Dir, "buildkitd.log") }
