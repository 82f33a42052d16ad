package localkube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A component that ended is started again after firstBackoff, which doubles
// each time up to maxBackoff, and begins anew once a start has lasted steady.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 15 * time.Second
	steady       = 30 * time.Second
)

// process keeps one component running until it is stopped.
type process struct {
	spec    spec
	logger  *slog.Logger
	changed func() // called after each start and end, from the process's own goroutine
	cancel  context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex
	seen Component
}

func startProcess(ctx context.Context, s spec, logger *slog.Logger, changed func()) *process {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &process{
		spec: s, logger: logger.With("component", s.name), changed: changed,
		cancel: cancel, done: make(chan struct{}),
		seen: Component{Name: s.name, Log: s.log},
	}
	go p.run(ctx)
	return p
}

// stop ends the process, by force once the grace is over, and returns when it
// has ended.
func (p *process) stop(grace time.Duration) {
	p.cancel()
	select {
	case <-p.done:
		return
	case <-time.After(grace):
	}
	if pid := p.component().PID; pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
}

func (p *process) component() Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *process) note(change func(*Component)) {
	p.mu.Lock()
	change(&p.seen)
	p.mu.Unlock()
	p.changed()
}

func (p *process) run(ctx context.Context) {
	defer close(p.done)
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		started := time.Now()
		exit := p.once(ctx)
		if ctx.Err() != nil {
			p.note(func(c *Component) { c.PID, c.Exit = 0, exit })
			return
		}
		if time.Since(started) > steady {
			backoff = firstBackoff
		}
		p.logger.Warn("component ended", "exit", exit, "again in", backoff)
		p.note(func(c *Component) { c.PID, c.Exit = 0, exit })
		if pause(ctx, backoff) != nil {
			return
		}
		p.note(func(c *Component) { c.Restarts++ })
	}
}

// once runs the component and says how it ended. The end of the context asks
// it to end.
func (p *process) once(ctx context.Context) string {
	cmd, err := p.launch()
	if err != nil {
		return err.Error()
	}
	p.note(func(c *Component) { c.PID, c.Started = cmd.Process.Pid, time.Now() })
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	_ = cmd.Wait() // ProcessState says more than the error.
	return cmd.ProcessState.String()
}

// launch starts the component with its output going straight to the log file,
// not through a pipe: it must be able to outlive the supervisor.
func (p *process) launch() (*exec.Cmd, error) {
	if err := os.MkdirAll(filepath.Dir(p.spec.log), 0o700); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(p.spec.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(p.spec.args[0], p.spec.args[1:]...) //nolint:noctx // It may outlive the supervisor.
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.spec.env, "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := inNetNS(p.spec.netns, cmd.Start); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return cmd, nil
}

// maxLog is the size at which a log file becomes the old one. With the old
// one, a component's log takes at most twice as much.
const maxLog = 10 << 20

// trimLog copies a log that has grown too long to PATH.old and empties it. The
// component keeps its file open, so the file cannot just be renamed; as it
// appends, it goes on at the new end. Lines written during the copy may be
// lost.
func trimLog(path string, limit int64) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= limit {
		return nil // A component that has not started has no log.
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".old", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	return os.Truncate(path, 0)
}
