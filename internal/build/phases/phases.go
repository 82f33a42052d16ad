//go:build linux

// Package phases walks the phases of a build, where the build runs: on the
// server's machine or in a pod. One shell runs all commands, and one pipe
// carries what they print. It knows nothing of where it is.
package phases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/redact"
	"github.com/towline/towline/internal/report"
)

// Walk is one walk through the phases of a build, where its commands run.
type Walk struct {
	Build build.Build
	// Source is where the commands begin.
	Source string
	// Control is a directory that the commands may read and not write.
	Control string
	// LogFile is the file behind Output, in the form of report.Log.
	LogFile string
	// User is the user and group ID of the commands, -1 for this process's own.
	User int
	// Users are those that a phase may run as besides the build's own, AnyUser
	// lets it be each: where nothing but the build can be seen.
	Users   []string
	AnyUser bool
	// Program is the path of Towline's program as the commands see it, for the
	// tools that they find on their search path; "" leaves these out.
	Program string
	Env     map[string]string
	// Start starts a shell, nil for exec.Cmd.Start.
	Start func(*exec.Cmd) error
	// Values are in Env already, where they belong. The log hides them, and git
	// gets its credential.
	Values build.Values
	// Kubeconfig is the file that KUBECONFIG is to lead to, nil for none.
	Kubeconfig []byte
	// Archives are where the cache of the build is kept, nil where nothing is.
	// Places are directories that it may take files from, besides the source and
	// the home of the build's user.
	Archives cache.Archives
	Places   []cache.Place
	Output   *Output
}

// walker is a Walk on its way.
type walker struct {
	Walk
	ended *build.Ended
	shell *shell
	own   account // of the build's user
	// keeper is nil when there is no cache.
	keeper *cache.Keeper
}

// Run runs the phases and asks for the variables at the end, and notes in ended
// how far it came. The error is a fault, or the cause of ctx.
func (w Walk) Run(ctx context.Context, ended *build.Ended) error {
	return (&walker{Walk: w, ended: ended}).run(ctx)
}

func (p *walker) run(ctx context.Context) error {
	if err := p.prepare(); err != nil {
		return err
	}
	defer p.shell.close()
	if err := p.runtimes(ctx); err != nil {
		return p.interrupted(ctx, "install", err)
	}
	if err := p.containers(ctx); err != nil {
		return p.interrupted(ctx, "install", err)
	}
	if err := p.restoreCache(ctx); err != nil {
		return p.interrupted(ctx, "install", err)
	}
	for _, phase := range p.Build.Phases {
		end, err := p.phase(ctx, phase)
		if err != nil {
			return p.interrupted(ctx, phase.Name, err)
		}
		p.ended.Phases = append(p.ended.Phases, end)
		if end.Failure == nil {
			continue
		}
		if !phase.GoOn {
			break
		}
		if err := p.failing(ctx); err != nil {
			return p.interrupted(ctx, phase.Name, err)
		}
	}
	if err := p.values(ctx); err != nil {
		return p.interrupted(ctx, "post_build", err)
	}
	p.saveCache(ctx)
	return nil
}

// prepare makes what the first shell needs.
func (p *walker) prepare() error {
	p.Output.Label(p.Build.Label)
	p.Env = maps.Clone(p.Env)
	p.own = account{uid: p.User, gid: p.User, home: p.Env["HOME"], name: p.Env["USER"]}
	p.shell = &shell{
		program: p.Build.Shell, dir: p.Source, control: p.Control, state: filepath.Join(p.Control, "state"),
		env: p.Env, account: p.own, output: p.Output.write, start: p.Start,
	}
	if p.shell.program == "" {
		p.shell.program = "sh"
	}
	for _, secret := range append(p.Values.Hidden(), build.TokenOf(p.Kubeconfig)) {
		if secret != "" {
			p.Output.hide(secret)
		}
	}
	if err := p.stateFile(p.shell.state); err != nil {
		return err
	}
	if err := p.tools(); err != nil {
		return err
	}
	if err := p.gitCredential(); err != nil {
		return err
	}
	return p.kubeconfig()
}

// values asks the shell for the variables and texts that are wanted at the end.
// What is secret is not told by them.
func (p *walker) values(ctx context.Context) error {
	exported, expanded, err := p.shell.values(ctx, p.Build.Exported, p.Build.Expand)
	secrets := redact.New(p.Values.Hidden()...)
	for name, value := range exported {
		exported[name] = secrets.String(value)
	}
	p.ended.Exported, p.ended.Expanded = exported, expanded
	return err
}

// stateFile makes the file that a shell leaves its variables in. The commands
// cannot make files in that directory, but they may write this one.
func (p *walker) stateFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make the shell's state file: %w", err)
	}
	if user := p.User; user >= 0 {
		err = f.Chown(user, user)
	}
	return errors.Join(err, f.Close())
}

// interrupted notes which phase ran when the time was up, or too much was used.
func (p *walker) interrupted(ctx context.Context, phase string, err error) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		p.ended.TimedOut = phase
	}
	if e, ok := errors.AsType[build.ErrExceeded](context.Cause(ctx)); ok {
		p.ended.Exceeded = &build.Exceeded{Phase: phase, Text: e.Text}
	}
	return err
}

// failing tells the later phases that the build has failed. A build of version
// 0.1 has no shell that could keep it, so it goes into the environment too.
func (p *walker) failing(ctx context.Context) error {
	p.Env["CODEBUILD_BUILD_SUCCEEDING"] = "0"
	_, err := p.shell.run(ctx, "export CODEBUILD_BUILD_SUCCEEDING=0")
	return err
}

// phase runs a phase, and again when it fails and may be run again.
func (p *walker) phase(ctx context.Context, phase build.Phase) (build.PhaseEnd, error) {
	started := time.Now()
	end := build.PhaseEnd{Name: phase.Name}
	for {
		failure, err := p.once(ctx, phase)
		if err != nil {
			return end, err
		}
		end.Failure = failure
		if failure == nil || !p.again(phase, *failure, end.Retries) {
			end.Seconds = time.Since(started).Seconds()
			return end, nil
		}
		end.Retries++
	}
}

// again says whether a phase that has failed is run again, having been so
// often already.
func (p *walker) again(phase build.Phase, failure build.Failure, retries int) bool {
	if phase.Retries == 0 || failure.Reason != "" {
		return false
	}
	if retries >= phase.Retries {
		p.Output.Printf("[%s] the phase has failed %d times and is not run again", phase.Name, retries+1)
		return false
	}
	// What is no expression matches nothing: the buildspec's reader has refused it.
	match, err := regexp.Compile(phase.RetryIf)
	if err != nil || !match.MatchString(failure.Message()) {
		p.Output.Printf("[%s] the phase is not run again: its failure does not match %q", phase.Name, phase.RetryIf)
		return false
	}
	p.Output.Printf("[%s] the phase has failed and is run again, %d of %d", phase.Name, retries+1, phase.Retries)
	return true
}

// once runs the commands of a phase and then, however they ended, those of its
// finally block. It returns the first failure.
func (p *walker) once(ctx context.Context, phase build.Phase) (*build.Failure, error) {
	refused, err := p.become(ctx, phase.RunAs)
	if err != nil || refused != nil {
		return refused, err
	}
	failure, err := p.commands(ctx, phase.Name, phase.Commands)
	if err != nil {
		return nil, err
	}
	last, err := p.commands(ctx, phase.Name+" finally", phase.Finally)
	if failure == nil {
		failure = last
	}
	return failure, err
}

// commands runs a list of commands until one fails.
func (p *walker) commands(ctx context.Context, label string, commands []string) (*build.Failure, error) {
	out := p.Output
	for _, command := range commands {
		if p.Build.Separate {
			p.fresh()
		}
		out.Printf("[%s] $ %s", label, strings.ReplaceAll(strings.TrimRight(command, "\n"), "\n", "\n["+label+"]   "))
		begin := p.logSize() // behind the line with the command
		status, err := p.shell.run(ctx, command)
		out.sync()
		if err != nil {
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				out.Printf("[%s] the time was up while this command ran", label)
			}
			if e, ok := errors.AsType[build.ErrExceeded](context.Cause(ctx)); ok {
				out.Printf("[%s] the build was ended while this command ran: %s", label, e.Text)
			}
			return nil, err
		}
		if status != 0 {
			failure := &build.Failure{Command: strings.TrimRight(command, "\n"), Exit: status, Tail: p.tail(begin)}
			out.Printf("[%s] exit code %d", label, status)
			return failure, nil
		}
	}
	return nil, nil
}

// fresh ends the shell with all that it knows.
func (p *walker) fresh() {
	p.shell.close()
	_ = os.Truncate(p.shell.state, 0)
}

func (p *walker) logSize() int64 {
	info, err := os.Stat(p.LogFile)
	if err != nil {
		return 0
	}
	return info.Size()
}

const (
	// tailLines and tailBytes are how much of its output stands in the message
	// of a failed command.
	tailLines = 15
	tailBytes = 8 << 10
)

// tail returns the last lines that were printed since the log had the size
// begin: from the log, so that what is hidden there is hidden here.
func (p *walker) tail(begin int64) []string {
	whole := true
	if from := p.logSize() - tailBytes; from > begin {
		begin, whole = from, false
	}
	var lines []string
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = report.Follow(ctx, p.LogFile, begin, func() bool { return true }, func(l report.Line) error {
		if text, ok := strings.CutPrefix(l.Text, p.Output.label); ok {
			lines = append(lines, text)
		}
		return nil
	})
	if !whole && len(lines) > 0 {
		lines = lines[1:] // it begins in the middle
	}
	return lines[max(0, len(lines)-tailLines):]
}
