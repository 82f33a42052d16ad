package function

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/box"
)

const (
	firstUID = 63200
	// lookEvery is how often those that wait for a slot look for one.
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
// it runs as Towline's user, and after a lost runner a process of it that has
// left its process group may stay. In both cases it sees the files and the
// network of the machine: it is not isolated.
type Runner struct {
	config Config
	keeper *box.Keeper
}

// New makes the directories and returns the runner.
func New(config Config) (*Runner, error) {
	if len(config.Program) == 0 || config.Dir == "" || config.Code == nil || config.Endpoint == nil {
		return nil, errors.New("configure functions: Program, Dir, Code and Endpoint are needed")
	}
	config.UID, config.Slots = cmp.Or(config.UID, firstUID), cmp.Or(config.Slots, 16)
	config.Processes = cmp.Or(config.Processes, 1024)
	config.Region, config.Account = cmp.Or(config.Region, "us-east-1"), cmp.Or(config.Account, "000000000000")
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	if config.Environ == nil {
		config.Environ = os.Environ()
	}
	var environ []string
	for name, value := range passed(config.Environ) {
		environ = append(environ, name+"="+value)
	}
	keeper, err := box.NewKeeper(box.Config{
		Program: config.Program, Environ: environ, Plain: config.Plain, StopWithin: stopWithin, What: "functions", Log: config.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("configure functions: %w", err)
	}
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
	r := &Runner{config: config, keeper: keeper}
	return r, r.guard()
}

// guard closes the code to others: a function may hold what is not for them. A
// box shows a function its own. Without one, its user passes to what it knows
// the digest of.
func (r *Runner) guard() error {
	mode := os.FileMode(0o700)
	if !r.keeper.Boxed() {
		mode = 0o711
	}
	if err := os.Chmod(filepath.Join(r.config.Dir, "code"), mode); err != nil {
		return fmt.Errorf("let functions reach their code: %w", err)
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
	case !r.keeper.Boxed():
		return box.Nobody
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
	outcome, err := r.invoke(ctx, in)
	if err != nil {
		return outcome, fmt.Errorf("invoke %s: %w", in.Function.Name, err)
	}
	return outcome, nil
}

// Begun tells whether the invocation of a directory has been begun: Invoke then
// needs to know nothing but the directory.
func (r *Runner) Begun(dir string) bool {
	if last, err := box.ReadRunner(dir); err != nil || last.PID != 0 {
		return true
	}
	lives, err := box.Lives(dir)
	return err == nil && lives
}

func (r *Runner) invoke(ctx context.Context, in Invocation) (outcome Outcome, err error) {
	_, err = r.keeper.See(ctx, in.Dir, func(lock *os.File, looks int) (pid int, err error) {
		var done bool
		if outcome, done, err = ended(in.Dir); done || err != nil {
			return 0, err
		}
		if looks > 3 {
			return 0, fmt.Errorf("its runner does not begin%s", box.LastWords(in.Dir))
		}
		return r.start(ctx, in, lock)
	})
	return outcome, err
}

// ended is the outcome of an invocation that no runner works on: done is false
// when it has not begun.
func ended(dir string) (outcome Outcome, done bool, err error) {
	var res result
	ok, err := box.ReadRecord(dir, resultFile, &res)
	if err != nil {
		return Outcome{}, false, err
	}
	last, err := box.ReadRunner(dir)
	if !ok && (err != nil || last.PID == 0) {
		return Outcome{}, false, err
	}
	_ = os.Remove(filepath.Join(dir, instructionsFile))
	_ = box.RemoveAll(filepath.Join(dir, boxDir))
	switch {
	case !ok:
		return Outcome{Error: &Error{Type: ErrorLost, Message: "the process that ran the function has died: it was killed, or the machine was restarted" + box.LastWords(dir)}}, true, nil
	case res.Fault != "":
		return Outcome{}, true, errors.New(res.Fault)
	}
	return res.Outcome, true, nil
}

// start starts a runner, which holds lock, and that of a slot, from before its
// first instruction to its last. It returns the runner's process ID.
func (r *Runner) start(ctx context.Context, in Invocation, lock *os.File) (int, error) {
	if err := r.guard(); err != nil {
		return 0, err
	}
	code, err := r.unpacked(ctx, in.Function.Code)
	if err != nil {
		return 0, err
	}
	slot, number, err := r.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer slot.Close()
	boxed := r.keeper.Boxed()
	given := instructions{
		Invocation: in, Code: code, Shims: filepath.Join(r.config.Dir, "shims"), User: r.user(number), Processes: r.config.Processes, Boxed: boxed,
		Endpoint: r.config.Endpoint(), Region: r.config.Region, Account: r.config.Account, Environ: r.config.Environ,
	}
	if given.Program, err = r.program(in.Function, given.User); err != nil {
		return 0, err
	}
	if err := box.PassRecord(in.Dir, instructionsFile, given); err != nil {
		return 0, err
	}
	pid, err := r.keeper.Start(in.Dir, boxed, lock, slot)
	if errors.Is(err, box.ErrUnboxed) {
		_ = slot.Close() // else it would wait for its own
		return r.start(ctx, in, lock)
	}
	return pid, err
}

// slot waits for one of those that may run at a time.
func (r *Runner) slot(ctx context.Context) (lock *os.File, number int, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for number := range r.config.Slots {
			lock, ok, err := box.Lock(filepath.Join(r.config.Dir, "slots", strconv.Itoa(number)))
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
