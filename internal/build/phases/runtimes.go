//go:build linux

package phases

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/towline/towline/internal/buildspec"
)

// question is how a tool tells its version.
type question struct {
	command string // for sh; the first line that version finds counts
	version *regexp.Regexp
}

// questions are the runtimes of CodeBuild's images.
var questions = map[string]question{
	"golang": {"go version", regexp.MustCompile(`\bgo(\d[\w.]*)`)},
	"java":   {"java -version", regexp.MustCompile(`version "([^"]+)"`)},
	"nodejs": {"node --version", regexp.MustCompile(`\bv(\d[\w.-]*)`)},
	"python": {"python3 --version || python --version", regexp.MustCompile(`Python (\d[\w.]*)`)},
	"php":    {"php --version", regexp.MustCompile(`PHP (\d[\w.]*)`)},
	"ruby":   {"ruby --version", regexp.MustCompile(`ruby (\d[\w.]*)`)},
	"dotnet": {"dotnet --version", regexp.MustCompile(`(?m)^(\d[\w.-]*)`)},
	"docker": {"docker --version", regexp.MustCompile(`version (\d[\w.]*)`)},
}

// answerWithin bounds how long a tool may take to tell its version.
const answerWithin = 20 * time.Second

// runtimes says in the log which of the tools that the build wants are there,
// and which differ: the build goes on with what there is.
func (p *walker) runtimes(ctx context.Context) error {
	for _, wanted := range p.Build.Runtimes {
		p.Output.Printf("[install] %s", p.compare(ctx, wanted))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// compare is a runtime that is wanted and what there is of it, in words.
func (p *walker) compare(ctx context.Context, wanted buildspec.Runtime) string {
	name := "runtime " + wanted.Name + " " + wanted.Version
	q, ok := questions[wanted.Name]
	if !ok {
		return "warning: " + name + ": this runtime is not known here; what is installed is used"
	}
	found := p.version(ctx, q)
	switch {
	case found == "":
		return "warning: " + name + ": not found by " + q.command + "; install it where the build runs if the commands need it"
	case !satisfies(wanted.Version, found):
		return "warning: " + name + ": there is " + found + ", which the build uses"
	}
	return name + ": there is " + found
}

// version asks a tool for its version; "" is that it is not there.
func (p *walker) version(ctx context.Context, q question) string {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", q.command)
	cmd.Dir, cmd.SysProcAttr, cmd.WaitDelay = p.Source, p.own.group(), time.Second
	for name, value := range p.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	// Java tells it on its standard error. One that fails tells none.
	text, err := cmd.CombinedOutput()
	if err != nil {
		return ""
	}
	if found := q.version.FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return ""
}

// satisfies says whether a version is one that a buildspec means: 17 and
// corretto17 mean 17.0.9, 3.x means 3.11, 8 means Java's 1.8.0_392.
func satisfies(wanted, found string) bool {
	wanted = strings.TrimLeft(wanted, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")
	if wanted == "" {
		return true // latest
	}
	if old, ok := strings.CutPrefix(found, "1.8."); ok && !strings.HasPrefix(wanted, "1.") {
		found = "8." + old
	}
	parts := strings.Split(found, ".")
	for i, part := range strings.Split(wanted, ".") {
		if part == "x" || part == "*" {
			continue
		}
		if i >= len(parts) || parts[i] != part {
			return false
		}
	}
	return true
}
