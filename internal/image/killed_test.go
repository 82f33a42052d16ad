package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/basetest"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// killedVariable has this program be a server that is killed while it makes an
// image: it names the directory of all its files.
const killedVariable = "TOWLINE_TEST_IMAGE_IN"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "enclose" {
		fmt.Fprintln(os.Stderr, enclosure.Main(os.Args[2:]))
		os.Exit(1)
	}
	if dir := os.Getenv(killedVariable); dir != "" {
		fmt.Fprintln(os.Stderr, makeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// stuck is a way that gets no further than its first build, which tries it out.
type stuck struct{}

func (stuck) Name() string { return "one that is stuck" }

func (stuck) Build(ctx context.Context, _ dockerfile.Build) (dockerfile.Result, error) {
	fmt.Println("begun")
	<-ctx.Done()
	return dockerfile.Result{}, context.Cause(ctx)
}

// makeForever is the server: the way is named by the directory.
func makeForever(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var way dockerfile.Way = stuck{}
	if filepath.Base(dir) == "build" {
		way = &buildkit.Own{Daemon: daemon.New(daemon.Config{
			Dir: filepath.Join(dir, "buildkit"), Program: []string{self, "enclose"}, Find: daemon.Finder{}.Find,
			CacheLimit: 1 << 30, Idle: time.Minute, Logger: slog.New(slog.DiscardHandler),
		})}
	}
	action, job, err := killedJob(dir)
	if err != nil {
		return err
	}
	action.Dockerfiles = dockerfile.NewBuilder(slog.New(slog.DiscardHandler), way)
	_, err = action.Run(context.Background(), job)
	return err
}

// killedJob is an action and a job for it, the same each time.
func killedJob(dir string) (*image.Action, pipeline.Job, error) {
	store, err := artifact.Open(context.Background(), filepath.Join(dir, "artifacts"))
	if err != nil {
		return nil, pipeline.Job{}, err
	}
	digest, size, err := store.Pack(context.Background(), filepath.Join(dir, "source"), nil)
	if err != nil {
		return nil, pipeline.Job{}, err
	}
	configuration, err := json.Marshal(pipeline.Image{Repository: "web", Dockerfile: "Dockerfile", Bases: map[string]string{"busybox:1": "oci:busybox"}})
	job := pipeline.Job{
		Pipeline: "web", Number: 1, Configuration: configuration, Dir: filepath.Join(dir, "job"), Log: os.Stdout,
		Inputs: []pipeline.Artifact{{Name: "source", Digest: digest, Size: size}},
	}
	return &image.Action{Artifacts: store, Registry: image.Registry{Host: "127.0.0.1:1", Insecure: true}}, job, err
}

func TestWhatAKilledServerHasLeftIsGone(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{"build": "job/built/towline-layout-*", "try": "job/built/towline-dockerfile-*"} {
		t.Run("while it was to "+name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), name)
			source := filepath.Join(dir, "source")
			must(t, errors.Join(os.MkdirAll(source, 0o755), os.Mkdir(filepath.Join(dir, "job"), 0o700)))
			must(t, os.WriteFile(filepath.Join(source, "Dockerfile"), []byte("FROM busybox:1\nRUN echo begun; sleep 1000000\n"), 0o644))
			to, err := layout.Write(filepath.Join(source, "busybox"), empty.Index)
			must(t, err)
			base, err := basetest.Busybox()
			must(t, err)
			must(t, to.AppendImage(base))
			kill(t, dir)
			if found, err := filepath.Glob(filepath.Join(dir, left)); err != nil || len(found) == 0 {
				t.Fatalf("nothing was left by the kill, so this says nothing: %v", err)
			}
			action, job, err := killedJob(dir)
			must(t, err)
			action.Dockerfiles = &builder{t: t, err: dockerfile.Refuse("not again")}
			result, err := action.Run(t.Context(), job)
			if err != nil || result.Message != "not again" {
				t.Errorf("got %+v, %v", result, err)
			}
			if found, err := os.ReadDir(job.Dir); err != nil || len(found) > 0 {
				t.Errorf("left: %v, %v", found, err)
			}
		})
	}
}

// kill runs the server, kills it once it has begun and waits until all that it
// started has ended.
func kill(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killedVariable+"="+dir)
	out := &waittest.Log{}
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server said:\n%s", out)
		}
	})
	out.Await(t, "begun\n")
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // It was killed.
	waittest.Until(t, "the end of all that was started", func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		must(t, err)
		for _, file := range lines {
			if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir)) {
				return false
			}
		}
		return true
	})
}
