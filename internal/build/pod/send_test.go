package pod_test

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/pipeline"
)

// TestTheProgramIsSentWhereNoImageHasIt runs builds as from a command line that
// knows no registry.
func TestTheProgramIsSentWhereNoImageHasIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	program := filepath.Join(t.TempDir(), "towline")
	if err := imagetest.Compile(t.Context(), "testdata/agent", program); err != nil {
		t.Fatal(err)
	}
	b.config.Program, b.config.AgentImage = &pod.Program{Path: program, Architecture: runtime.GOARCH}, nil
	t.Run("with a database", func(t *testing.T) {
		t.Parallel()
		of := buildtest.New(t, "psql -XAtc 'select 40 + 2'")
		of.Services = []build.Service{{Name: "db", Engine: pipeline.EnginePostgres, Version: postgresVersion}}
		if _, err := b.backend(t).Run(t.Context(), of); err != nil || !logHas(t, of, "42", 1)() {
			t.Errorf("%v\n%s", err, strings.Join(buildtest.Lines(t, of), "\n"))
		}
	})
	t.Run("to an image that cannot take it", func(t *testing.T) {
		t.Parallel()
		of := buildtest.New(t, "true")
		of.Pod = &pipeline.Pod{Image: b.bareImage(t)}
		if _, err := b.backend(t).Run(t.Context(), of); err == nil || !strings.Contains(err.Error(), "which brings Towline, has ended") || !strings.Contains(err.Error(), "head") {
			t.Errorf("got %v", err)
		}
	})
	t.Cleanup(func() { b.none(t) })
}

// bareImage has a shell and nothing else.
func (b *bench) bareImage(t *testing.T) string {
	t.Helper()
	paths, err := imagetest.Programs("sh")
	if err != nil {
		t.Fatal(err)
	}
	image, err := imagetest.System{Paths: append(paths, "/bin/sh")}.Image(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := b.images.registry.Push(t.Context(), "bare", "1", image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
