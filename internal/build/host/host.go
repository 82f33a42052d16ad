//go:build linux

// Package host runs builds as processes of this machine: its Backend starts a
// runner for each, a process of its own session, which prepares the directory,
// the user and the databases, and walks the phases.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/pipeline"
)

const (
	// waitEvery is how often a waiting Run looks whether the runner still
	// holds its lock: one system call.
	waitEvery = 20 * time.Millisecond
	// stopWithin is how long a runner may take to end what it started before
	// it is ended itself.
	stopWithin = 15 * time.Second
	// mostRuns is how often a build is run when its runner dies: a second time
	// for a machine that was restarted, no third for a build that kills it.
	mostRuns = 2
)

// Backend is the build.Backend that runs builds as processes of this machine. Each build
// has a runner, a process of its own session that outlives the server: it runs
// the phases, writes the log and leaves its result in the build's directory.
//
// Where Towline is root, the runner is the first process of a PID namespace, so
// that nothing of a build can outlive it, and the commands run as a user of the
// pipeline's own. Otherwise they run as Towline's user, and after a lost runner
// a process that has emptied its environment may stay. In both cases the
// commands see the file system and the network of the machine: the host is not
// isolated.
type Backend struct {
	config Config
	plain  atomic.Bool // also set when namespaces turn out to be forbidden
	users  sync.Mutex  // held while a pipeline gets its user ID
	caches cache.Store // the files that buildspecs have kept
}

var _ build.Backend = (*Backend)(nil)

// New makes the cache directory and returns the backend.
func New(config Config) (*Backend, error) {
	if len(config.Runner) == 0 || config.CacheDir == "" {
		return nil, errors.New("configure the host backend: Runner and CacheDir are needed")
	}
	if slices.Contains(config.Users, "root") {
		return nil, errors.New("configure the host backend: builds may not run as root: whoever may push would own the machine; name users with fewer rights")
	}
	if config.UID == 0 {
		config.UID = firstUID
	}
	config.Processes = cmp.Or(config.Processes, mostProcesses)
	if config.Environ == nil {
		config.Environ = os.Environ()
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	dir, err := filepath.Abs(config.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	program, err := exec.LookPath(config.Runner[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("configure the host backend: find the runner: %w", err)
	}
	config.CacheDir, config.Runner = dir, append([]string{program}, config.Runner[1:]...)
	// The builds' users pass through to their own caches, and see no templates.
	if err := os.MkdirAll(filepath.Join(dir, "pipelines"), 0o711); err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o700); err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	h := &Backend{config: config, caches: cache.Store{Dir: filepath.Join(dir, "archives")}}
	h.plain.Store(config.Plain || os.Geteuid() != 0)
	return h, nil
}

// Run runs the build, or finds it running or ended when it was begun before.
func (h *Backend) Run(ctx context.Context, b build.Build) (build.Ended, error) {
	files := buildFiles{dir: b.Dir}
	for starts := 0; ; starts++ {
		lock, ok, err := files.lock()
		if err != nil {
			return build.Ended{}, err
		}
		if !ok { // a runner lives
			if err := h.wait(ctx, files, 0); err != nil {
				return build.Ended{}, err
			}
			continue
		}
		ended, done, err := h.next(ctx, b, files, lock, starts)
		if err != nil || done {
			return ended, err
		}
	}
}

// next does what is to be done while no runner lives: takes the result, or
// starts a runner and waits for it. It closes lock.
func (h *Backend) next(ctx context.Context, b build.Build, files buildFiles, lock *os.File, starts int) (build.Ended, bool, error) {
	defer lock.Close()
	if result, ok, err := files.result(); err != nil || ok {
		h.trim(ctx, b)
		return result.Ended, true, errors.Join(err, result.err())
	}
	if ctx.Err() != nil {
		return build.Ended{}, true, context.Cause(ctx)
	}
	last, err := files.runner()
	if err != nil {
		return build.Ended{}, true, err
	}
	if last.Run > 0 {
		if err := h.afterLoss(ctx, b, files, last); err != nil {
			return build.Ended{}, true, err
		}
	}
	if last.Run >= mostRuns || starts > mostRuns {
		return build.Ended{}, true, fmt.Errorf("run build %s: its runner ended %d times without a result%s", b.Key, max(last.Run, starts), files.lastWords())
	}
	pid, err := h.start(ctx, b, files, lock, last.Run+1)
	if err != nil {
		return build.Ended{}, true, err
	}
	_ = lock.Close() // from here on the lock is the runner's alone
	return build.Ended{}, false, h.wait(ctx, files, pid)
}

// Caches is where the files are that buildspecs have kept. Other backends may
// keep theirs there too, so that a build finds its cache wherever it runs.
func (h *Backend) Caches() cache.Store { return h.caches }

// trim keeps the archives of caches within their bound, after a build that may
// have added one.
func (h *Backend) trim(ctx context.Context, b build.Build) {
	if b.Cache == nil {
		return
	}
	if err := h.caches.Trim(); err != nil {
		h.config.Log.WarnContext(ctx, "remove old caches of builds", "error", err)
	}
}

// afterLoss removes what a lost runner left, and restores the source.
func (h *Backend) afterLoss(ctx context.Context, b build.Build, files buildFiles, last runnerFile) error {
	waitGone(last)
	if err := sweep(files.marker()); err != nil {
		return fmt.Errorf("end what is left of build %s: %w", b.Key, err)
	}
	if err := files.clean(); err != nil {
		return err
	}
	if last.Run >= mostRuns {
		return nil
	}
	h.config.Log.WarnContext(ctx, "run a build again whose runner was lost", "build", b.Key)
	fmt.Fprintf(b.Log, "host backend: the process that ran this build has died (killed, or the machine was restarted); the build begins again\n")
	if err := b.Restore(ctx); err != nil {
		return fmt.Errorf("restore the source: %w", err)
	}
	return nil
}

// start starts a runner, which holds lock from before its first instruction to
// its last, so that there never are two. It returns the runner's process ID.
func (h *Backend) start(ctx context.Context, b build.Build, files buildFiles, lock *os.File, run int) (int, error) {
	boxed := !h.plain.Load()
	user, cache, err := h.user(b.Pipeline, boxed)
	if err != nil {
		return 0, err
	}
	in := instructions{
		Build: b, Dir: b.Dir, Source: b.Source, LogFile: b.LogFile,
		Cache: cache, Templates: filepath.Join(h.config.CacheDir, "services"),
		User: user, Boxed: boxed, Run: run, Marker: files.marker(), Environ: passed(h.config.Environ),
		Users: h.config.Users, Processes: h.config.Processes,
	}
	if b.Cache != nil {
		if in.Archives, err = h.caches.DirOf(b.Pipeline); err != nil {
			return 0, err
		}
	}
	if err := files.instruct(in); err != nil {
		return 0, err
	}
	hidden, err := handOver(ctx, b)
	if err != nil {
		return 0, err
	}
	defer hidden.Close()
	words, err := os.OpenFile(files.path(wordsFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("start the build's runner: %w", err)
	}
	defer words.Close()
	cmd := exec.Command(h.config.Runner[0], append(slices.Clone(h.config.Runner[1:]), b.Dir)...)
	cmd.Dir, cmd.Env = b.Dir, passed(h.config.Environ)
	cmd.Stdout, cmd.Stderr = words, words
	cmd.ExtraFiles = []*os.File{lock, hidden}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if boxed {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	}
	if err := cmd.Start(); err != nil {
		if boxed && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOSPC)) {
			h.unbox(err.Error())
			return h.start(ctx, b, files, lock, run)
		}
		return 0, fmt.Errorf("start the build's runner: %w", err)
	}
	pid := cmd.Process.Pid
	// The runner is waited for by its lock, as by a server that did not start
	// it, and reaped then.
	_ = cmd.Process.Release()
	return pid, nil
}

// unbox remembers that this system refuses namespaces.
func (h *Backend) unbox(why string) {
	h.plain.Store(true)
	h.config.Log.Warn("builds run without namespaces", "reason", why)
}

// wait returns when the runner has ended. Child is its process ID when this
// process started it, else 0.
func (h *Backend) wait(ctx context.Context, files buildFiles, child int) error {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		held, err := files.held()
		if err != nil {
			return err
		}
		if !held {
			h.reap(files, child)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, pipeline.ErrShutdown) {
				return cause
			}
			return errors.Join(cause, h.stop(files, child))
		}
	}
}

// reap takes the exit status of a runner that has ended and says whether it
// could not make its namespaces.
func (h *Backend) reap(files buildFiles, child int) {
	pid, options := child, 0
	if pid == 0 {
		// Started by an earlier call, in this process perhaps.
		last, err := files.runner()
		if err != nil || last.PID == 0 {
			return
		}
		waitGone(last)
		pid, options = last.PID, unix.WNOHANG
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, options, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if child != 0 && status.ExitStatus() == exitUnboxed {
		h.unbox(strings.TrimSpace(files.lastWords()))
	}
}

// stop ends a running build with everything that it started: first by asking
// the runner, then by killing it.
func (h *Backend) stop(files buildFiles, child int) error {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		sent := false
		for deadline := time.Now().Add(stopWithin); time.Now().Before(deadline); time.Sleep(waitEvery) {
			held, err := files.held()
			if err != nil {
				return err
			}
			last, err := files.runner()
			if err != nil {
				return err
			}
			if !held {
				h.reap(files, child)
				return errors.Join(sweep(files.marker()), files.clean())
			}
			// A runner that was only just started has not written its record
			// and could not act on a signal yet.
			if !sent && last.alive() {
				sent = unix.Kill(last.PID, signal) == nil
			}
		}
	}
	return errors.New("stop the build: its runner does not end")
}
