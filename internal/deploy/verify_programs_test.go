package deploy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/internal/agent"
)

// programs are the images of single programs of this test process, each made
// for the first test that needs it.
var programs struct {
	agent, relay programImage
}

type programImage struct {
	once sync.Once
	ref  string
	err  error
}

// publish compiles a program of this module and pushes it to where the nodes
// pull from.
func (p *programImage) publish(t testing.TB, repository, source string) string {
	t.Helper()
	host, _, _ := strings.Cut(webImage(t), "/")
	p.once.Do(func() {
		program := filepath.Join(t.TempDir(), "program")
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if out, err := build.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("compile %s: %w\n%s", source, err, out)
			return
		}
		p.ref, p.err = agent.Publish(context.Background(), agent.Target{Reference: host + "/" + repository, Insecure: true, Executables: []string{program}})
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.ref
}

func agentImage(t testing.TB) func(context.Context) (string, error) {
	ref := programs.agent.publish(t, "towline-agent", "../../cmd/towline")
	return func(context.Context) (string, error) { return ref, nil }
}
