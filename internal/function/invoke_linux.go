package function

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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/pipeline"
)

const (
	firstUID = 63200
	nobody   = 65534
	// lookEvery is how often a runner that is waited for is looked at: one
	// system call.
	lookEvery = 20 * time.Millisecond
	// stopWithin is how long a runner may take to end what it started before it
	// is ended itself.
	stopWithin = 5 * time.Second
)

// Runner runs functions as processes of this machine. Each invocation has a
// process of its own session that outlives the server: it speaks the Runtime
// API, writes the log and leaves the outcome in the invocation's directory.
//
// Where Towline is root, that process is the first one of a PID namespace, so
// that nothing of a function can outlive it, and the function runs as a user
// that no other invocation has at the time, with a /tmp of its own. Otherwise
// it runs as Towline's user, and a process that leaves the function's process
// group may stay. In both cases it sees the files and the network of the
// machine: it is not isolated.
type Runner struct {
	config Config
	plain  atomic.Bool // also set when namespaces turn out to be forbidden
}

// New makes the directories and returns the runner.
func New(config Config) (*Runner, error) {
	if len(config.Program) == 0 || config.Dir == "" || config.Code == nil || config.Endpoint == nil {
		return nil, errors.New("configure functions: Program, Dir, Code and Endpoint are needed")
	}
	config.UID, config.Slots = cmp.Or(config.UID, firstUID), cmp.Or(config.Slots, 16)
	config.Region, config.Account = cmp.Or(config.Region, "us-east-1"), cmp.Or(config.Account, "000000000000")
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	if config.Environ == nil {
		config.Environ = os.Environ()
	}
	program, err := exec.LookPath(config.Program[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("configure functions: find the runner: %w", err)
	}
	config.Program = append([]string{program}, config.Program[1:]...)
	if config.Dir, err = filepath.Abs(config.Dir); err != nil {
		return nil, fmt.Errorf("configure functions: %w", err)
	}
	for _, dir := range []string{"code", "slots"} {
		if err := os.MkdirAll(filepath.Join(config.Dir, dir), 0o711); err != nil {
			return nil, fmt.Errorf("configure functions: %w", err)
		}
	}
	if err := writeShims(filepath.Join(config.Dir, "shims")); err != nil {
		return nil, fmt.Errorf("configure functions: %w", err)
	}
	r := &Runner{config: config}
	r.plain.Store(config.Plain || os.Geteuid() != 0)
	return r, r.guard()
}

// guard closes the code to others: a function may hold what is not for them. A
// box shows a function its own. Without one, its user passes to what it knows
// the digest of.
func (r *Runner) guard() error {
	mode := os.FileMode(0o700)
	if r.plain.Load() {
		mode = 0o711
	}
	if err := os.Chmod(filepath.Join(r.config.Dir, "code"), mode); err != nil {
		return fmt.Errorf("configure functions: %w", err)
	}
	return nil
}

// Ready tells whether this machine can run a function: the error says what it
// lacks.
func (r *Runner) Ready(f Function) error {
	_, err := r.program(f, r.user(0))
	return err
}

func (r *Runner) program(f Function, uid int) (string, error) {
	kind, ok := kindOf(f.Runtime)
	switch {
	case !ok:
		return "", fmt.Errorf("there is no runtime %q", f.Runtime)
	case kind.name == provided:
		return "", nil
	}
	environ := passed(r.config.Environ)
	return kind.find(f.Runtime, environ["PATH"], environ["JAVA_HOME"], uid)
}

// user is the user ID of a slot's function, -1 for Towline's own.
func (r *Runner) user(slot int) int {
	switch {
	case os.Geteuid() != 0:
		return -1
	case r.plain.Load():
		return nobody
	}
	return r.config.UID + slot
}

// Invoke gives an event to a function and waits for the outcome, or finds the
// invocation running or ended when it was begun before. One whose runner was
// lost has the error ErrorLost; who wants it made again gives another
// directory. When ctx ends with cause pipeline.ErrShutdown the function runs
// on; with any other cause it is ended.
func (r *Runner) Invoke(ctx context.Context, in Invocation) (Outcome, error) {
	if err := os.MkdirAll(in.Dir, 0o700); err != nil {
		return Outcome{}, fmt.Errorf("invoke %s: %w", in.Function.Name, err)
	}
	root, err := os.OpenRoot(in.Dir)
	if err != nil {
		return Outcome{}, fmt.Errorf("invoke %s: %w", in.Function.Name, err)
	}
	defer root.Close()
	outcome, err := r.invoke(ctx, root, in)
	if err != nil {
		return outcome, fmt.Errorf("invoke %s: %w", in.Function.Name, err)
	}
	return outcome, nil
}

// Begun tells whether the invocation of a directory has been begun: Invoke then
// needs to know nothing but the directory.
func (r *Runner) Begun(dir string) bool {
	for _, name := range []string{startedFile, resultFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	held, err := lockHeld(filepath.Join(dir, lockFile))
	return err == nil && held
}

func (r *Runner) invoke(ctx context.Context, root *os.Root, in Invocation) (Outcome, error) {
	lockPath := filepath.Join(in.Dir, lockFile)
	for tries := 0; ; tries++ {
		lock, ok, err := takeLock(lockPath)
		if err != nil {
			return Outcome{}, err
		}
		if !ok { // a runner lives
			if err := r.await(ctx, in.Dir, 0); err != nil {
				return Outcome{}, err
			}
			continue
		}
		outcome, done, err := r.ended(root, in.Dir)
		if done || err != nil {
			_ = lock.Close()
			return outcome, err
		}
		if tries > 3 {
			_ = lock.Close()
			return Outcome{}, fmt.Errorf("its runner does not begin%s", lastWords(root))
		}
		pid, err := r.start(ctx, root, in, lock)
		_ = lock.Close() // from here on the lock is the runner's alone
		if err != nil {
			return Outcome{}, err
		}
		if err := r.await(ctx, in.Dir, pid); err != nil {
			return Outcome{}, err
		}
	}
}

// ended is the outcome of an invocation that no runner works on: done is false
// when it has not begun.
func (r *Runner) ended(root *os.Root, dir string) (outcome Outcome, done bool, err error) {
	var res result
	ok, err := readJSON(root, resultFile, &res)
	if err != nil {
		return Outcome{}, false, err
	}
	if ok {
		_ = removeTree(filepath.Join(dir, boxDir))
		if res.Fault != "" {
			return Outcome{}, true, errors.New(res.Fault)
		}
		return res.Outcome, true, nil
	}
	if _, err := root.Stat(startedFile); err != nil {
		return Outcome{}, false, nil //nolint:nilerr // It has not begun.
	}
	_ = root.Remove(instructionsFile)
	_ = removeTree(filepath.Join(dir, boxDir))
	return Outcome{Error: &Error{Type: ErrorLost, Message: "the process that ran the function has died: it was killed, or the machine was restarted" + lastWords(root)}}, true, nil
}

// start starts a runner, which holds lock, and that of a slot, from before its
// first instruction to its last. It returns the runner's process ID.
func (r *Runner) start(ctx context.Context, root *os.Root, in Invocation, lock *os.File) (int, error) {
	code, err := r.unpacked(ctx, in.Function.Code)
	if err != nil {
		return 0, err
	}
	slot, number, err := r.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer slot.Close()
	boxed := !r.plain.Load()
	given := instructions{
		Invocation: in, Code: code, Shims: filepath.Join(r.config.Dir, "shims"), User: r.user(number), Boxed: boxed,
		Endpoint: r.config.Endpoint(), Region: r.config.Region, Account: r.config.Account, Environ: r.config.Environ,
	}
	if given.Program, err = r.program(in.Function, given.User); err != nil {
		return 0, err
	}
	if err := writeJSON(root, instructionsFile, given); err != nil {
		return 0, err
	}
	pid, err := r.spawn(in.Dir, boxed, lock, slot)
	if err != nil && boxed && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOSPC)) {
		r.unbox(err.Error())
		return r.start(ctx, root, in, lock)
	}
	if err != nil {
		return 0, fmt.Errorf("start its runner: %w", err)
	}
	return pid, nil
}

func (r *Runner) spawn(dir string, boxed bool, lock, slot *os.File) (int, error) {
	words, err := os.OpenFile(filepath.Join(dir, wordsFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer words.Close()
	cmd := exec.Command(r.config.Program[0], append(slices.Clone(r.config.Program[1:]), dir)...)
	cmd.Dir = dir
	for name, value := range passed(r.config.Environ) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = words, words
	cmd.ExtraFiles = []*os.File{lock, slot}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if boxed {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	// It is waited for by its lock, as by a server that did not start it, and
	// reaped then.
	_ = cmd.Process.Release()
	return pid, nil
}

// unbox remembers that this system refuses namespaces.
func (r *Runner) unbox(why string) {
	r.plain.Store(true)
	r.config.Log.Warn("functions run without namespaces", "reason", why)
	if err := r.guard(); err != nil {
		r.config.Log.Error("let functions reach their code", "error", err)
	}
}

// slot waits for one of those that may run at a time.
func (r *Runner) slot(ctx context.Context) (lock *os.File, number int, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for number := range r.config.Slots {
			lock, ok, err := takeLock(filepath.Join(r.config.Dir, "slots", strconv.Itoa(number)))
			if ok || err != nil {
				return lock, number, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// await returns when the runner has ended. Child is its process ID when this
// process has started it, else 0.
func (r *Runner) await(ctx context.Context, dir string, child int) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		held, err := lockHeld(filepath.Join(dir, lockFile))
		if err != nil {
			return err
		}
		if !held {
			r.reap(dir, child)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, pipeline.ErrShutdown) {
				return cause
			}
			err := stopRunner(dir)
			if err == nil {
				r.reap(dir, child)
			}
			return errors.Join(cause, err)
		}
	}
}

// exitUnboxed is how a runner ends that may not make its namespaces: nothing
// was begun.
const exitUnboxed = 75

// reap takes the exit status of a runner that has ended.
func (r *Runner) reap(dir string, child int) {
	if child == 0 {
		return
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(child, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if status.ExitStatus() == exitUnboxed {
		words, _ := os.ReadFile(filepath.Join(dir, wordsFile))
		r.unbox(strings.TrimSpace(string(words)))
	}
}

// stopRunner ends a running function with everything that it started: first by
// asking the runner, then by killing it.
func stopRunner(dir string) error {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		sent := false
		for deadline := time.Now().Add(stopWithin); time.Now().Before(deadline); time.Sleep(lookEvery) {
			held, err := lockHeld(filepath.Join(dir, lockFile))
			if err != nil || !held {
				return err
			}
			// A runner that was only just started could not act on a signal yet.
			if text, err := os.ReadFile(filepath.Join(dir, startedFile)); err == nil && !sent {
				pid, err := strconv.Atoi(string(text))
				sent = err == nil && unix.Kill(pid, signal) == nil
			}
		}
	}
	return errors.New("stop the function: its runner does not end")
}

// passed are the variables of the server that functions get too: where the
// programs are, and how to reach the network.
func passed(environ []string) map[string]string {
	kept := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case "PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "JAVA_HOME":
			kept[name] = value
		}
	}
	return kept
}
