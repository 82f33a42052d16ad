package function

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/box/usage"
)

const (
	// initWithin is how long a function may take until it asks for its event.
	// Lambda gives ten seconds; this machine may have other things to do.
	initWithin = 30 * time.Second
	// restWithin is how long a function may go on after its answer, until it
	// asks for the next event.
	restWithin = 500 * time.Millisecond
	// pipesWithin is how long output is waited for that a process holds open
	// which has left the function's group.
	pipesWithin = 2 * time.Second
)

// errStopped ends an invocation because its runner was told to.
var errStopped = errors.New("the invocation was stopped")

// RunnerMain carries out the invocation of dir, as Runner.Invoke left it there,
// and returns the exit code. It is for a process that does nothing else. It
// holds the locks of the invocation and of its slot.
func RunnerMain(ctx context.Context, dir string) int {
	return box.Main(ctx, 2, func(ctx context.Context, me box.Runner) error { return carryOut(ctx, me, dir) })
}

func carryOut(ctx context.Context, me box.Runner, dir string) error {
	// By this path the files are reached from inside of the box as well.
	dir, open, err := box.Pin(dir)
	if err != nil {
		return err
	}
	defer open.Close()
	var in instructions
	if ok, err := box.ReadRecord(dir, instructionsFile, &in); err != nil || !ok {
		return errors.Join(err, errors.New("this command is started by Towline itself, with the directory of an invocation"))
	}
	if err := os.Remove(filepath.Join(dir, instructionsFile)); err != nil {
		return err
	}
	out, err := openOutput(in.Invocation.LogFiles, in.Invocation.Credentials.SecretAccessKey, in.Invocation.Credentials.SessionToken)
	if err != nil {
		return err
	}
	places, err := enter(in)
	if err != nil {
		return errors.Join(err, out.close())
	}
	if err := me.Begin(dir); err != nil {
		return errors.Join(err, out.close())
	}
	r := &running{in: in, places: places, out: out}
	outcome, err := r.run(ctx)
	if errors.Is(err, errStopped) {
		return out.close() // Who stopped it knows, and nobody reads an outcome.
	}
	res := result{Outcome: outcome}
	if err := errors.Join(err, out.close()); err != nil {
		res.Fault = err.Error()
	}
	return box.PassRecord(dir, resultFile, res)
}

// running is a function while it runs.
type running struct {
	in     instructions
	places places
	out    *output
	api    *runtimeAPI
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program has ended
	exit   error         // how, once it has
	watch  *usage.Watcher
}

// run runs the function to its end. When it returns, nothing of it runs any
// more. The error is a fault, or errStopped.
func (p *running) run(ctx context.Context) (Outcome, error) {
	in := p.in.Invocation
	as := "as user " + strconv.Itoa(p.in.User) + ", with the machine's files and network"
	if p.in.User < 0 {
		as = "as Towline's own user"
	}
	p.out.line("function %s, revision %d: not isolated: it runs on this machine %s", in.Function.Name, in.Function.Revision, as)
	process.Yield()
	if err := limit(p.in); err != nil {
		return Outcome{}, err
	}
	if p.in.User >= 0 {
		if err := process.KeepRights(); err != nil {
			return Outcome{}, err
		}
	}
	p.api = newRuntimeAPI(in, p.arn(), ownedBy(p.in.User))
	address, stop, err := p.api.serve()
	if err != nil {
		return Outcome{}, err
	}
	defer stop()
	defer process.ReapOrphans()()
	began := time.Now()
	outcome, failed := p.start(address)
	if !failed {
		outcome, err = p.attend(ctx, began)
		err = errors.Join(err, p.kill())
	}
	outcome.Tail = p.out.last()
	if errors.Is(err, errStopped) {
		p.out.line("the invocation was stopped")
		return outcome, err
	}
	if outcome.Error != nil && !outcome.Error.Handled {
		p.out.line("RequestId: %s Error: %s", in.ID, outcome.Error)
	}
	p.out.line("END RequestId: %s", in.ID)
	p.out.line("%s", reportLine(in.ID, in.Function.Memory, outcome))
	return outcome, err
}

func (p *running) arn() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", p.in.Region, p.in.Account, p.in.Invocation.Function.Name)
}

// start starts the function's program. That it cannot be started is the
// function's failure.
func (p *running) start(address string) (o Outcome, failed bool) {
	kind, _ := kindOf(p.in.Invocation.Function.Runtime)
	line := kind.command(p.in.Program, p.places.shims, p.places.code, p.in.Invocation.Function.Handler)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Dir, p.cmd.Env = p.places.code, p.environment(address)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = p.out, p.out, pipesWithin
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if p.in.User >= 0 {
		id := uint32(p.in.User)
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	// The signal of a parent's death is that of the thread which started it.
	runtime.LockOSThread()
	p.watch = p.watcher()
	start := p.cmd.Start
	if p.in.User < 0 {
		start = func() error { return process.StartWithin(p.cmd, p.in.Processes) }
	}
	if err := start(); err != nil {
		return Outcome{Error: &Error{Type: ErrorEntry, Message: fmt.Sprintf("start %s: %v: a zip for runtime %s needs an executable file %s", filepath.Base(line[0]), errors.Unwrap(err), p.in.Invocation.Function.Runtime, filepath.Base(line[0]))}}, true
	}
	p.exited = make(chan struct{})
	go func() { p.exit = p.cmd.Wait(); close(p.exited) }()
	return Outcome{}, false
}

// attend waits for the function's answer, for its end, or until it has had
// enough of something.
func (p *running) attend(ctx context.Context, began time.Time) (o Outcome, err error) {
	watching, stop := context.WithCancel(ctx)
	watched, exceeded := make(chan struct{}), make(chan *usage.Excess, 1)
	go func() {
		defer close(watched)
		if e := p.watch.Watch(watching); e != nil {
			exceeded <- e
		}
	}()
	ready := time.Time{}
	defer func() {
		now := time.Now()
		if ready.IsZero() {
			o.Init = now.Sub(began)
		} else {
			o.Init, o.Duration = ready.Sub(began), now.Sub(ready)
		}
		stop()
		<-watched
		o.Memory = p.watch.Memory()
	}()
	taken := p.api.taken
	limit := time.NewTimer(initWithin)
	defer limit.Stop()
	for {
		select {
		case <-taken:
			ready, taken = time.Now(), nil
			p.out.line("START RequestId: %s Version: $LATEST", p.in.Invocation.ID)
			limit.Reset(p.in.Invocation.Function.Timeout)
		case answer := <-p.api.answer:
			p.settle()
			return answer, nil
		case <-p.exited:
			return p.ended(), nil
		case e := <-exceeded:
			return Outcome{Error: p.exceeded(e)}, nil
		case <-limit.C:
			return Outcome{Error: p.late(taken != nil)}, nil
		case <-ctx.Done():
			return Outcome{}, errStopped
		}
	}
}

// settle lets the function finish what it does after its answer, for a moment.
func (p *running) settle() {
	timer := time.NewTimer(restWithin)
	defer timer.Stop()
	select {
	case <-p.api.idle:
	case <-p.exited:
	case <-timer.C:
	}
}

// ended is the outcome of a function whose program has ended: what it has told
// before that counts.
func (p *running) ended() Outcome {
	select {
	case answer := <-p.api.answer:
		return answer
	default:
	}
	message := "Runtime exited without providing a reason"
	if p.exit != nil {
		message = "Runtime exited with error: " + p.exit.Error()
	}
	return Outcome{Error: &Error{Type: ErrorExit, Message: message}}
}

func (p *running) late(initialising bool) *Error {
	if initialising {
		return &Error{Type: ErrorTimeout, Message: fmt.Sprintf("the function did not ask for its event within %s", initWithin)}
	}
	return &Error{Type: ErrorTimeout, Message: fmt.Sprintf("Task timed out after %.2f seconds", p.in.Invocation.Function.Timeout.Seconds())}
}

// kill ends every process of the function, and waits for what they have
// printed.
func (p *running) kill() error {
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	if err := process.KillAll(process.Descendants); err != nil {
		return fmt.Errorf("end the function's processes: %w", err)
	}
	<-p.exited
	return nil
}

// environment is what Lambda sets, with this server in the place of AWS.
func (p *running) environment(address string) []string {
	in := p.in.Invocation
	f := in.Function
	env := passed(p.in.Environ)
	maps.Copy(env, map[string]string{
		"HOME": "/tmp", "TMPDIR": p.places.temp, "LANG": "en_US.UTF-8", "TZ": ":UTC",
		"PYTHONPATH": p.places.code, "PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": filepath.Join(p.places.code, "node_modules"),
		"LD_LIBRARY_PATH": p.places.code + ":" + filepath.Join(p.places.code, "lib"),
	})
	if p.places.temp != "/tmp" {
		env["HOME"] = p.places.temp
	}
	maps.Copy(env, f.Environment)
	maps.Copy(env, map[string]string{
		"_HANDLER": f.Handler, "LAMBDA_TASK_ROOT": p.places.code, "LAMBDA_RUNTIME_DIR": p.places.shims,
		"AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.Memory), "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME": in.ID, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_EXECUTION_ENV": "AWS_Lambda_" + f.Runtime,
		"AWS_REGION": p.in.Region, "AWS_DEFAULT_REGION": p.in.Region,
		"AWS_ENDPOINT_URL": p.in.Endpoint, "AWS_EC2_METADATA_DISABLED": "true",
	})
	if in.Credentials.AccessKeyID != "" {
		maps.Copy(env, map[string]string{
			"AWS_ACCESS_KEY_ID": in.Credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": in.Credentials.SecretAccessKey,
			"AWS_SESSION_TOKEN": in.Credentials.SessionToken,
		})
	}
	if f.Handler == "" {
		env["_HANDLER"] = "bootstrap"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
