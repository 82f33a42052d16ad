package box

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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/pipeline"
)

// lookEvery is how often a runner that is waited for is looked at: one system
// call.
const lookEvery = 20 * time.Millisecond

// Config says how runners are started.
type Config struct {
	// Program is the command line of a process that calls Main, to which the
	// directory is appended.
	Program []string
	// Environ is the environment of the runners.
	Environ []string
	// Plain leaves out the namespaces.
	Plain bool
	// StopWithin is how long a runner may take to end what it started before it
	// is ended itself.
	StopWithin time.Duration
	// What runs, in the plural, for the log.
	What string
	Log  *slog.Logger
}

// Keeper starts runners and waits for them. It is safe for concurrent use.
type Keeper struct {
	config Config
	plain  atomic.Bool // also set when namespaces turn out to be forbidden
}

// NewKeeper finds the program of the runners.
func NewKeeper(config Config) (*Keeper, error) {
	program, err := exec.LookPath(config.Program[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("find the runner: %w", err)
	}
	config.Program = append([]string{program}, config.Program[1:]...)
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	k := &Keeper{config: config}
	k.plain.Store(config.Plain || os.Geteuid() != 0)
	return k, nil
}

// Boxed tells whether runners get namespaces: where Towline is root, until the
// system is found to forbid them.
func (k *Keeper) Boxed() bool { return !k.plain.Load() }

// See sees the runners of a directory to the end. It calls next whenever none
// lives, with the lock that tells so and how often it has looked before. Next
// starts a runner with that lock and returns its process ID, or 0 when there is
// nothing left to do. See closes the lock: from then on it is the runner's
// alone, so that there never are two.
//
// When ctx ends with the cause pipeline.ErrShutdown the runner goes on without
// See, which returns that cause at once. When it ends for any other cause See
// stops the runner and returns the cause; stopped tells that it has ended.
func (k *Keeper) See(ctx context.Context, dir string, next func(lock *os.File, looks int) (pid int, err error)) (stopped bool, err error) {
	for looks := 0; ; looks++ {
		lock, free, err := Lock(filepath.Join(dir, lockFile))
		if err != nil {
			return false, err
		}
		pid := 0
		if free {
			pid, err = next(lock, looks)
			_ = lock.Close()
			if pid == 0 || err != nil {
				return false, err
			}
		}
		if stopped, err = k.await(ctx, dir, pid); err != nil {
			return stopped, err
		}
	}
}

// Start starts the runner of a directory, which holds the files, the lock first,
// from before its first instruction to its last. It returns its process ID. An
// error that wraps ErrUnboxed says that this system forbids namespaces, and
// that Boxed knows it from now on.
func (k *Keeper) Start(dir string, boxed bool, files ...*os.File) (pid int, err error) {
	words, err := os.OpenFile(filepath.Join(dir, wordsFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("start the runner: %w", err)
	}
	defer words.Close()
	cmd := exec.Command(k.config.Program[0], append(slices.Clone(k.config.Program[1:]), dir)...)
	cmd.Dir, cmd.Env = dir, k.config.Environ
	cmd.Stdout, cmd.Stderr = words, words
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if boxed {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	}
	err = cmd.Start()
	if err != nil && boxed && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOSPC)) {
		k.unbox(err.Error())
		err = fmt.Errorf("%w: %w", ErrUnboxed, err)
	}
	if err != nil {
		return 0, fmt.Errorf("start the runner: %w", err)
	}
	pid = cmd.Process.Pid
	// It is waited for by its lock, as by a server that did not start it, and
	// reaped then.
	_ = cmd.Process.Release()
	return pid, nil
}

// unbox remembers that this system refuses namespaces.
func (k *Keeper) unbox(why string) {
	k.plain.Store(true)
	k.config.Log.Warn(k.config.What+" run without namespaces", "reason", why)
}

// await returns when the runner has ended. Child is its process ID when this
// process has started it just now, else 0.
func (k *Keeper) await(ctx context.Context, dir string, child int) (stopped bool, err error) {
	ended := watchEnd(child)
	defer ended.close()
	for {
		lives, err := Lives(dir)
		if err != nil {
			return false, err
		}
		if !lives {
			k.reap(dir, child)
			return false, nil
		}
		ended.wait(ctx)
		if ctx.Err() == nil {
			continue
		}
		cause := context.Cause(ctx)
		if errors.Is(cause, pipeline.ErrShutdown) {
			return false, cause
		}
		err = k.stop(dir, child)
		return err == nil, errors.Join(cause, err)
	}
}

// reap takes the exit status of a runner that has ended and sees whether it
// could not make its namespaces.
func (k *Keeper) reap(dir string, child int) {
	pid, options := child, 0
	if pid == 0 {
		// Started by an earlier call, in this process perhaps.
		last, err := ReadRunner(dir)
		if err != nil || last.PID == 0 {
			return
		}
		last.waitGone()
		pid, options = last.PID, unix.WNOHANG
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, options, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if child != 0 && status.ExitStatus() == exitUnboxed {
		k.unbox(strings.TrimPrefix(LastWords(dir), ": "))
	}
}

// stop ends a runner with everything that it started: first by asking it, then
// by killing it.
func (k *Keeper) stop(dir string, child int) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		sent := false
		for deadline := time.Now().Add(k.config.StopWithin); time.Now().Before(deadline); <-tick.C {
			lives, err := Lives(dir)
			if err != nil {
				return err
			}
			if !lives {
				k.reap(dir, child)
				return nil
			}
			last, err := ReadRunner(dir)
			if err != nil {
				return err
			}
			// A runner that was only just started has not made itself known and
			// could not act on a signal yet.
			if !sent && last.alive() {
				sent = unix.Kill(last.PID, signal) == nil
			}
		}
	}
	return errors.New("stop the runner: it does not end")
}
