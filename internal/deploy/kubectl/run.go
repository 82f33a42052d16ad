package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/kube"
)

const (
	// patience is how long a kubectl that was told to end may take.
	patience = 3 * time.Second
	// Objects are at most 1.5 MiB in a cluster; managed fields double that.
	maxOutput = 16 << 20
	maxErrors = 64 << 10
)

// invocation is one kubectl command about one object.
type invocation struct {
	ref  kube.Ref
	args []string // without those that say which cluster
	body []byte   // standard input
}

// run carries a command out once and returns what it printed. The API server's
// answers are errors like client-go's; see fault.
func (m *Method) run(ctx context.Context, i invocation) ([]byte, error) {
	access, err := m.access()
	if err != nil {
		return nil, err
	}
	defer access.drop()
	command := prepare(ctx, m.path, append(access.args, i.args...)...)
	command.ExtraFiles = access.files
	command.Stdin = bytes.NewReader(i.body)
	out, said := &capped{limit: maxOutput}, &capped{limit: maxErrors}
	command.Stdout, command.Stderr = out, said
	err = command.Run()
	message := hear(ctx, string(said.kept))
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil && out.overrun:
		return nil, fmt.Errorf("run kubectl: it printed more than %d MiB", maxOutput>>20)
	case err == nil:
		return out.kept, nil
	case ctx.Err() != nil || !ended || message == "":
		return nil, fmt.Errorf("run kubectl: %w", errors.Join(err, remark(message)))
	}
	return nil, fault(i.ref, message)
}

func remark(message string) error {
	if message == "" {
		return nil
	}
	return errors.New(message)
}

// logLine is how lines of kubectl's own log begin: E1123 08:31:15.172893.
var logLine = regexp.MustCompile(`^[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ `)

// hear hands kubectl's warnings on and returns the rest of what it said but for
// its log, which repeats errors in the words of programmers.
func hear(ctx context.Context, said string) string {
	var rest []string
	for line := range strings.Lines(said) {
		if warning, ok := strings.CutPrefix(line, "Warning: "); ok {
			kube.Warn(ctx, strings.TrimSpace(warning))
			continue
		}
		if !logLine.MatchString(line) {
			rest = append(rest, line)
		}
	}
	return strings.TrimSpace(strings.Join(rest, ""))
}

// prepare makes a command that ends with its context. What the user's own
// kubectl prefers, such as other words or questions before a deletion, does not
// apply to ours.
func prepare(ctx context.Context, path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), "KUBECTL_KUBERC=false", "KUBERC=off", "LC_ALL=C", "LANG=C", "LANGUAGE=C")
	if _, err := os.UserHomeDir(); err != nil {
		// It would keep its cache in the working directory; this way it has none.
		command.Env = append(command.Env, "KUBECACHEDIR="+os.DevNull)
	}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = patience
	return command
}

// capped keeps the beginning of what is written to it.
type capped struct {
	kept    []byte
	limit   int
	overrun bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.limit - len(c.kept)
	if room < len(p) {
		c.overrun = true
	}
	c.kept = append(c.kept, p[:min(room, len(p))]...)
	return len(p), nil
}
