//go:build linux

// Package phases walks the phases of a build, where the build runs: on the
// server's machine or in a pod. One shell runs all commands, and one pipe
// carries what they print. It knows nothing of where it is.
package phases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/build"
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
	User   int
	Env    map[string]string
	Output *Output
}

// walker is a Walk on its way.
type walker struct {
	Walk
	ended *build.Ended
	shell *shell
}

// Run runs the phases and asks for the variables at the end, and notes in ended
// how far it came. The error is a fault, or the cause of ctx.
func (w Walk) Run(ctx context.Context, ended *build.Ended) error {
	return (&walker{Walk: w, ended: ended}).run(ctx)
}

func (p *walker) run(ctx context.Context) error {
	b := p.Build
	state := filepath.Join(p.Control, "state")
	if err := p.stateFile(state); err != nil {
		return err
	}
	p.shell = &shell{
		program: b.Shell, dir: p.Source, control: p.Control, state: state,
		env: p.Env, user: p.User, output: p.Output.write,
	}
	if p.shell.program == "" {
		p.shell.program = "sh"
	}
	defer p.shell.close()
	for _, phase := range b.Phases {
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
	var err error
	p.ended.Exported, p.ended.Expanded, err = p.shell.values(ctx, b.Exported, b.Expand)
	return p.interrupted(ctx, "post_build", err)
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

// interrupted notes which phase ran when the time was up.
func (p *walker) interrupted(ctx context.Context, phase string, err error) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		p.ended.TimedOut = phase
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

func (p *walker) phase(ctx context.Context, phase build.Phase) (build.PhaseEnd, error) {
	started := time.Now()
	end := build.PhaseEnd{Name: phase.Name}
	failure, err := p.commands(ctx, phase.Name, phase.Commands)
	if err != nil {
		return end, err
	}
	end.Failure = failure
	failure, err = p.commands(ctx, phase.Name+" finally", phase.Finally)
	if err != nil {
		return end, err
	}
	if end.Failure == nil {
		end.Failure = failure
	}
	end.Seconds = time.Since(started).Seconds()
	return end, nil
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
		lines = append(lines, l.Text)
		return nil
	})
	if !whole && len(lines) > 0 {
		lines = lines[1:] // it begins in the middle
	}
	return lines[max(0, len(lines)-tailLines):]
}
