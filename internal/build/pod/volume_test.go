package pod_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// TestTheCacheVolumeIsKeptFromBuildToBuild gives the claim of a pipeline a volume
// of the node's, as an operator does without a provisioner.
func TestTheCacheVolumeIsKeptFromBuildToBuild(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	next := func(commands ...string) build.Build {
		of := buildtest.New(t, commands...)
		of.Pod = &pipeline.Pod{Cache: "1Gi"}
		return of
	}
	first := next(`ls "$GOCACHE" || echo nothing`, `mkdir -p "$GOCACHE" && echo of the first build > "$GOCACHE/object"`)
	ended := begin(t, b.backend(t), first)
	b.bind(t, kept)
	if e, err := ended(); err != nil || len(e.Phases) != 1 || e.Phases[0].Failure != nil {
		t.Fatalf("%+v, %v\n%s", e, err, strings.Join(buildtest.Lines(t, first), "\n"))
	}
	if text, err := os.ReadFile(filepath.Join(kept, "go-build", "object")); err != nil || string(text) != "of the first build\n" {
		t.Errorf("on the volume is %q, %v", text, err)
	}
	second := next(`cat "$GOCACHE/object"`)
	if _, err := b.backend(t).Run(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if !logHas(t, first, "nothing", 1)() || !logHas(t, second, "of the first build", 1)() {
		t.Errorf("the logs are\n%s\n%s", strings.Join(buildtest.Lines(t, first), "\n"), strings.Join(buildtest.Lines(t, second), "\n"))
	}
	b.none(t)
}

// bind makes a volume of a directory for the one claim of the namespace, once
// that is there.
func (b *bench) bind(t *testing.T, dir string) {
	t.Helper()
	claims := schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}
	var claim string
	waittest.Until(t, "the claim is made", func() bool {
		found, err := b.cluster.List(t.Context(), claims, b.namespace, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			claim = found[0].GetName()
		}
		return claim != ""
	})
	b.make(t, fmt.Sprintf(`{apiVersion: v1, kind: PersistentVolume, metadata: {name: %[1]s}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce],
		persistentVolumeReclaimPolicy: Retain, claimRef: {namespace: %[1]s, name: %[2]s}, hostPath: {path: %[3]s}}}`, b.namespace, claim, dir))
	t.Cleanup(func() {
		if err := b.cluster.Delete(context.WithoutCancel(t.Context()), kube.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: b.namespace}, ""); err != nil {
			t.Error(err)
		}
	})
}

// TestACacheOfThePodFallsBack keeps archives on the server: the second build has
// another key, which begins as the first one's.
func TestACacheOfThePodFallsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Caches = cache.Store{Dir: t.TempDir()}
	next := func(key string, commands ...string) (build.Build, build.Ended) {
		of := buildtest.New(t, commands...)
		of.Cache = &buildspec.Cache{Key: key, Fallback: []string{"npm-other-", "npm-"}, Paths: []string{"dep/**/*"}}
		ended, err := b.backend(t).Run(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		return of, ended
	}
	next("npm-$(echo 1)", "mkdir dep && echo of the first build > dep/a")
	second, ended := next("npm-$(echo 2)", "cat dep/a")
	log := strings.Join(buildtest.Lines(t, second), "\n")
	if _, failed := ended.Failed(); failed || !strings.Contains(log, "of the first build") || !strings.Contains(log, "of the key npm-1") {
		t.Errorf("the second build:\n%s", log)
	}
	b.none(t)
}
