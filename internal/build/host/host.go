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
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
)

const (
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
	keeper *box.Keeper
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
	if config.Environ == nil {
		config.Environ = os.Environ()
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	dir, err := filepath.Abs(config.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	config.CacheDir = dir
	keeper, err := box.NewKeeper(box.Config{
		Program: config.Runner, Environ: passed(config.Environ), Plain: config.Plain, StopWithin: stopWithin, What: "builds", Log: config.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	// The builds' users pass through to their own caches, and see no templates.
	if err := os.MkdirAll(filepath.Join(dir, "pipelines"), 0o711); err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o700); err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	if err := config.defaults(); err != nil {
		return nil, fmt.Errorf("configure the host backend: %w", err)
	}
	return &Backend{config: config, keeper: keeper, caches: cache.Store{Dir: filepath.Join(dir, "archives")}}, nil
}

// Run runs the build, or finds it running or ended when it was begun before.
func (h *Backend) Run(ctx context.Context, b build.Build) (ended build.Ended, err error) {
	files := buildFiles{dir: b.Dir}
	stopped, err := h.keeper.See(ctx, b.Dir, func(lock *os.File, looks int) (pid int, err error) {
		ended, pid, err = h.next(ctx, b, lock, looks)
		return pid, err
	})
	if stopped {
		err = errors.Join(err, sweep(files.marker()), files.clean())
	}
	return ended, err
}

// next does what is to be done while no runner lives: takes the result, or
// starts a runner and returns its process ID.
func (h *Backend) next(ctx context.Context, b build.Build, lock *os.File, looks int) (ended build.Ended, pid int, err error) {
	files := buildFiles{dir: b.Dir}
	if result, ok, err := files.result(); err != nil || ok {
		h.trim(ctx, b)
		return result.Ended, 0, errors.Join(err, result.err())
	}
	if ctx.Err() != nil {
		return build.Ended{}, 0, context.Cause(ctx)
	}
	last, err := box.ReadRunner(b.Dir)
	if err != nil {
		return build.Ended{}, 0, err
	}
	if last.Run > 0 {
		if err := h.afterLoss(ctx, b, files, last); err != nil {
			return build.Ended{}, 0, err
		}
	}
	if last.Run >= mostRuns || looks > mostRuns {
		return build.Ended{}, 0, fmt.Errorf("run build %s: its runner ended %d times without a result%s", b.Key, max(last.Run, looks), box.LastWords(b.Dir))
	}
	limits, refusal := h.limitsOf(b)
	if refusal != "" {
		return refused(b, refusal), 0, nil
	}
	pid, err = h.start(ctx, b, limits, lock, last.Run+1)
	return build.Ended{}, pid, err
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
func (h *Backend) afterLoss(ctx context.Context, b build.Build, files buildFiles, last box.Runner) error {
	if err := box.WaitGone(b.Dir); err != nil {
		return err
	}
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
func (h *Backend) start(ctx context.Context, b build.Build, limits limits, lock *os.File, run int) (int, error) {
	boxed := h.keeper.Boxed()
	user, cache, err := h.user(b.Pipeline, boxed)
	if err != nil {
		return 0, err
	}
	in := instructions{
		Build: b, Dir: b.Dir, Source: b.Source, LogFile: b.LogFile,
		Cache: cache, Templates: filepath.Join(h.config.CacheDir, "services"),
		User: user, Boxed: boxed, Run: run, Marker: buildFiles{dir: b.Dir}.marker(), Environ: passed(h.config.Environ),
		Users: h.config.Users, Limits: limits, CachesAt: cache,
	}
	if b.Cache != nil {
		if in.Archives, err = h.caches.DirOf(b.Pipeline); err != nil {
			return 0, err
		}
	}
	if err := box.PassRecord(b.Dir, instructionsFile, in); err != nil {
		return 0, err
	}
	hidden, err := handOver(ctx, b)
	if err != nil {
		return 0, err
	}
	defer hidden.Close()
	pid, err := h.keeper.Start(b.Dir, boxed, lock, hidden)
	if errors.Is(err, box.ErrUnboxed) {
		return h.start(ctx, b, limits, lock, run)
	}
	return pid, err
}
