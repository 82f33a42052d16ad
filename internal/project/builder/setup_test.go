package builder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/project/queue"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// runnerCommand makes the test binary the runner of a build.
const runnerCommand = "build-runner"

func TestMain(m *testing.M) {
	if code, ok := phases.Tool(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if len(os.Args) == 3 && os.Args[1] == runnerCommand {
		os.Exit(host.RunnerMain(context.Background(), os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// yard is a Builder that runs real builds on this machine, and what it needs.
type yard struct {
	*builder.Builder
	t         *testing.T
	config    builder.Config
	artifacts *artifact.Store
	sources   *sources
}

// sources are files by the location of a source. Version "gone" is not there.
type sources struct {
	artifacts *artifact.Store
	files     map[string]map[string]string
}

func (s *sources) Fetch(ctx context.Context, f builder.Fetch) (builder.Fetched, error) {
	if f.Version == "gone" {
		return builder.Fetched{}, &project.Error{Kind: project.ErrInvalid, Message: "repository web has no revision gone"}
	}
	dir := filepath.Join(f.Dir, "files")
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	for name, text := range s.files[f.Source.Location] {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	if err != nil {
		return builder.Fetched{}, err
	}
	digest, size, err := s.artifacts.Pack(ctx, dir, nil)
	return builder.Fetched{Artifact: pipeline.Artifact{Digest: digest, Size: size}, Resolved: "resolved " + f.Version, Revision: pipeline.Revision{Repository: f.Source.Location}}, err
}

// setup makes a Builder with a data directory of its own, which ends with the
// test.
func setup(t *testing.T, change ...func(*builder.Config)) *yard {
	t.Helper()
	dir := t.TempDir()
	// Where builds run as nobody they go to their files through the parents.
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := artifact.Open(t.Context(), filepath.Join(dir, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	backend, err := host.New(host.Config{Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(dir, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, artifacts: artifacts, sources: &sources{artifacts: artifacts, files: map[string]map[string]string{}}}
	y.config = builder.Config{
		Store: db, Sources: y.sources, Dir: dir, Account: "123456789012", Queue: queue.New(4),
		Runner: func(name string) builder.Runner {
			return build.Action{Backend: backend, Artifacts: artifacts, Reports: db, Project: name}
		},
		OpenLog: func(path string) (io.WriteCloser, error) { return report.OpenLog(path) },
	}
	for _, c := range change {
		c(&y.config)
	}
	y.Builder = builder.New(y.config)
	t.Cleanup(func() {
		defer endRunners(t, dir) // also when what follows ends the test
		for undone := y.undone(); len(undone) > 0; undone = y.undone() {
			for _, id := range undone {
				if _, err := y.Stop(context.WithoutCancel(t.Context()), id); err != nil {
					t.Error(err)
				}
				y.ended(id)
			}
		}
		if err := errors.Join(y.Shutdown(time.Minute), db.Close(), artifacts.Close()); err != nil {
			t.Error(err)
		}
	})
	return y
}

// undone are the ids of the builds that wait or run: the end of one may begin
// another.
func (y *yard) undone() (ids []string) {
	y.t.Helper()
	for _, b := range y.list(builder.Filter{Limit: 1000}) {
		if !b.Done() {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// restart is what a new server does with what the old one has left.
func (y *yard) restart() {
	y.t.Helper()
	if err := y.Shutdown(time.Minute); err != nil {
		y.t.Fatal(err)
	}
	y.config.Queue = queue.New(4)
	y.Builder = builder.New(y.config)
	if err := y.Resume(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

// definition is a project without a source, whose phase build has those
// commands.
func definition(name string, commands ...string) project.Definition {
	var spec strings.Builder
	spec.WriteString("version: 0.2\nphases:\n  build:\n    commands:\n")
	for _, c := range commands {
		fmt.Fprintf(&spec, "      - %q\n", c)
	}
	return project.Definition{
		Name: name, Source: project.Source{Type: project.SourceNone, Buildspec: spec.String()}, Artifacts: project.Artifacts{Type: project.ArtifactsNone},
		Environment: project.Environment{Type: "LINUX_CONTAINER", Image: "aws/codebuild/standard:7.0", ComputeType: "BUILD_GENERAL1_SMALL"},
	}
}

func (y *yard) create(d project.Definition) {
	y.t.Helper()
	if _, err := y.Create(y.t.Context(), d); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) start(req builder.StartRequest) project.Build {
	y.t.Helper()
	b, err := y.Start(y.t.Context(), req)
	if err != nil {
		y.t.Fatal(err)
	}
	return b
}

func (y *yard) build(id string) project.Build {
	y.t.Helper()
	b, err := y.Build(context.WithoutCancel(y.t.Context()), id)
	if err != nil {
		y.t.Fatal(err)
	}
	return b
}

func (y *yard) list(f builder.Filter) []builder.Listed {
	y.t.Helper()
	found, err := y.Builds(context.WithoutCancel(y.t.Context()), f)
	if err != nil {
		y.t.Fatal(err)
	}
	return found
}

// ended waits for the end of a build.
func (y *yard) ended(id string) (b project.Build) {
	y.t.Helper()
	y.until(id+" ends", func() bool { b = y.build(id); return b.Done() })
	return b
}

// doneAgain waits for the build that does another one again by itself.
func (y *yard) doneAgain(first project.Build) (b project.Build) {
	y.t.Helper()
	y.until(first.ID+" is done again", func() bool {
		all := y.list(builder.Filter{Project: first.Project, Limit: 9})
		i := slices.IndexFunc(all, func(b builder.Listed) bool { return b.RetryOf == first.ID })
		if i >= 0 {
			b = all[i].Build
		}
		return i >= 0
	})
	return b
}

// until waits until something holds, and shows all builds and their logs if it
// never does.
func (y *yard) until(what string, holds func() bool) {
	y.t.Helper()
	if waittest.Poll(context.WithoutCancel(y.t.Context()), holds) {
		return
	}
	for _, b := range y.list(builder.Filter{Limit: 99}) {
		y.t.Logf("%s\n%s", short(b.Build), y.log(b.Build))
	}
	y.t.Fatalf("never: %s", what)
}

func (y *yard) log(b project.Build) string {
	text, _ := os.ReadFile(y.LogFile(b))
	return string(text)
}

// says waits until the log of a build has a text.
func (y *yard) says(b project.Build, text string) {
	y.t.Helper()
	y.until("the log says "+text, func() bool { return strings.Contains(y.log(b), text) })
}

// names are the phases of a build with their statuses.
func names(b project.Build) (all []string) {
	for _, p := range b.Phases {
		all = append(all, p.Name+" "+string(p.Status))
	}
	return all
}
