// Package buildtest holds what every backend for builds must do. A backend's
// test calls Run; the commands are those of a POSIX system with psql, mariadb and
// redis-cli.
package buildtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/build"
)

// within bounds each build of the suite on a busy machine.
const within = 2 * time.Minute

// Options are what the suite needs to know of a backend.
type Options struct {
	// Backend is fit for several builds at once.
	Backend build.Backend
	// Prepare, when it is set, completes a build before it is run.
	Prepare func(b *build.Build)
	// Elsewhere tells that the builds have another network than this machine.
	// Their processes are seen here all the same.
	Elsewhere bool
}

// Run runs the suite for a backend of this machine.
func Run(t *testing.T, backend build.Backend) { RunWith(t, Options{Backend: backend}) }

// RunWith runs the suite.
func RunWith(t *testing.T, o Options) {
	s := suite{backend: prepared{o}, elsewhere: o.Elsewhere}
	t.Run("commands", s.commands)
	t.Run("a build whose command fails", s.failures)
	t.Run("the environment is clean", s.environment)
	t.Run("the log has all output in order", s.log)
	t.Run("a build that takes too long is ended", s.timeout)
	t.Run("a build that is stopped is ended", s.stop)
	t.Run("a build goes on while the server is away", s.shutdown)
	t.Run("processes left in the background are ended", s.background)
	t.Run("a database of its own", s.database)
	t.Run("builds at once do not share a database", s.twoDatabases)
	t.Run("a database of another engine", s.engines)
	t.Run("a shell that is missing is a fault", s.noShell)
	t.Run("phases", s.phases)
}

type suite struct {
	backend   build.Backend
	elsewhere bool
}

// prepared is the backend with builds that are completed for it.
type prepared struct{ Options }

func (p prepared) Run(ctx context.Context, b build.Build) (build.Ended, error) {
	if p.Prepare != nil {
		p.Prepare(&b)
	}
	return p.Backend.Run(ctx, b)
}

func (s suite) run(t *testing.T, b build.Build) build.Ended {
	t.Helper()
	ended, err := s.backend.Run(t.Context(), b)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(Lines(t, b), "\n"))
	}
	return ended
}

// outcome is what of an end does not change from run to run.
func outcome(e build.Ended) []string {
	var words []string
	for _, p := range e.Phases {
		word := p.Name + " ok"
		if p.Failure != nil {
			word = fmt.Sprintf("%s failed: %s: %d", p.Name, p.Failure.Command, p.Failure.Exit)
		}
		words = append(words, word)
	}
	return words
}
