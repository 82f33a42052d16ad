package renderer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/manifest"
)

// Renderer starts the processes.
type Renderer struct {
	// Command is the program and the arguments with which it calls Serve. None
	// renders in this process, without limits: for the command line, where
	// nobody but the user is harmed.
	Command []string
	// Memory is how many bytes of address space a process may have. Zero means
	// DefaultMemory. The program itself takes about 1 GiB of it, nearly all of
	// which is never used.
	Memory uint64
	// Timeout is how long it may take. Zero means DefaultTimeout.
	Timeout time.Duration
}

// The defaults of Renderer.
const (
	DefaultMemory  = 3 << 30
	DefaultTimeout = 30 * time.Second
)

// maxAnswer is more than the objects and changes of a chart may be.
const maxAnswer = 128 << 20

// LoadChart is manifest.LoadChart. A chart that takes too much is a
// *manifest.Error, too.
func (r Renderer) LoadChart(ctx context.Context, root string, chart manifest.HelmChart) ([]manifest.Object, []manifest.Change, error) {
	if len(r.Command) == 0 {
		return manifest.LoadChart(root, chart)
	}
	if r.Memory == 0 {
		r.Memory = DefaultMemory
	}
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, fmt.Errorf("find the source of chart %s: %w", chart.Path, err)
	}
	asked, err := json.Marshal(request{Root: root, Chart: chart, Memory: r.Memory, Seconds: uint64(r.Timeout/time.Second) + 1})
	if err != nil {
		return nil, nil, fmt.Errorf("say which chart to render: %w", err)
	}
	told, err := r.run(ctx, asked, chart)
	if err != nil {
		return nil, nil, err
	}
	var a answer
	if err := json.Unmarshal(told, &a); err != nil {
		return nil, nil, fmt.Errorf("read what chart %s makes: %w", chart.Path, err)
	}
	if len(a.Failures) > 0 {
		return nil, nil, errorOf(a.Failures)
	}
	objs, err := manifest.Decode([]byte(a.Objects))
	return objs, a.Changes, err
}

// run is one process, from its standard input to its standard output.
func (r Renderer) run(ctx context.Context, asked []byte, chart manifest.HelmChart) ([]byte, error) {
	// The time that the machine is busy with others is not the chart's, so the
	// process counts its own; this is for one that sleeps.
	limited, cancel := context.WithTimeout(ctx, 4*r.Timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, r.Command[0], r.Command[1:]...)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	told, said := &bounded{most: maxAnswer}, &bounded{most: 64 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(asked), told, said
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil && !told.cut:
		return told.Bytes(), nil
	case errors.As(err, &ended), limited.Err() != nil, told.cut:
		slow := limited.Err() != nil || cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime() >= r.Timeout
		return nil, r.tooMuch(chart, said.String(), slow)
	}
	return nil, fmt.Errorf("start the rendering of chart %s: %w", chart.Path, err)
}

// tooMuch explains the end of a process by what Go's runtime says last. It says
// nothing when the kernel ends it, for its time or for the machine's memory.
func (r Renderer) tooMuch(chart manifest.HelmChart, said string, slow bool) error {
	e := &manifest.Error{Source: manifest.Source{File: chart.Path}}
	switch {
	case strings.Contains(said, "stack exceeds"), strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate"), said == "" && !slow:
		e.Message, e.Hint = "rendering the chart takes too much memory", "does a template call itself through tpl, or repeat something too often?"
	case said == "":
		e.Message, e.Hint = fmt.Sprintf("rendering the chart takes longer than %s", r.Timeout), "does a template count too far?"
	default:
		first, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
		return fmt.Errorf("render chart %s: %s", chart.Path, first)
	}
	return e
}

// bounded keeps the first bytes of what is written, and takes the rest.
type bounded struct {
	bytes.Buffer
	most int
	cut  bool
}

// Write never fails.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.Len()
	if len(p) > room {
		b.cut = true
		b.Buffer.Write(p[:max(0, room)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
