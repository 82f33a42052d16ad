package localkube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// fakeGo stands in for the compiler, which would take minutes: it writes down
// each build and gives an empty program, or fails for the package of the pause
// program when told to.
const fakeGo = `#!/bin/sh
case "$1" in
env) echo go1.99 ;;
list) ;;
build)
	while [ $# -gt 1 ]; do
		[ "$1" = -o ] && out=$2
		shift
	done
	case "$out" in */pause) if [ -n "$FAKE_FAILURE" ]; then echo "# pause" >&2; echo "main.go:1:1: $FAKE_FAILURE" >&2; exit 1; fi ;; esac
	mkdir -p "$(dirname "$out")"
	echo "$CGO_ENABLED $out" >>"$FAKE_BUILDS"
	: >"$out"
	;;
esac
`

// fakeSource is a source tree for the fake compiler. It changes the
// environment, so its tests do not run in parallel.
func fakeSource(t *testing.T) (config Config, builds string) {
	t.Helper()
	bin, source := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(fakeGo), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, m := range modules() {
		write(t, filepath.Join(source, m.dir, "go.mod"), "module example.com/"+m.dir+"\n")
		write(t, filepath.Join(source, m.dir, "main.go"), "package main\n")
	}
	builds = filepath.Join(t.TempDir(), "builds")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("FAKE_BUILDS", builds)
	return Config{Name: "test-build", Dir: t.TempDir(), Source: source, Cache: t.TempDir()}, builds
}

func TestTwoAtOnceCompileOnce(t *testing.T) {
	config, builds := fakeSource(t)
	var both errgroup.Group
	for range 2 {
		c := newCluster(t, config)
		both.Go(func() error { return c.Build(t.Context()) })
	}
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, m := range modules() {
		want += len(m.programs)
	}
	text := read(t, builds)
	if got := strings.Count(text, "\n"); got != want {
		t.Errorf("%d programs were compiled, want %d:\n%s", got, want, text)
	}
	if strings.Count(text, "1 ") != 1 || !strings.Contains(text, "/runc\n") {
		t.Errorf("cgo is for runc alone:\n%s", text)
	}
	dirs := cacheEntries(t, config)
	if len(dirs) != 1 {
		t.Fatalf("the cache holds %v, want one directory", dirs)
	}
	for _, file := range []string{"kubebox", "kubectl", "containerd", "runc", "cni/ptp", "pause.tar"} {
		if _, err := os.Stat(filepath.Join(dirs[0], file)); err != nil {
			t.Error(err)
		}
	}
	write(t, filepath.Join(config.Source, "kube", "main.go"), "package main // changed\n")
	if err := newCluster(t, config).Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dirs := cacheEntries(t, config); len(dirs) != 2 {
		t.Errorf("after a change of the sources the cache holds %v, want two directories", dirs)
	}
}

func TestFailedCompileSaysWhyAndLeavesNothing(t *testing.T) {
	config, _ := fakeSource(t)
	t.Setenv("FAKE_FAILURE", "undefined: nonsense")
	err := newCluster(t, config).Build(t.Context())
	if err == nil || !strings.Contains(err.Error(), "compile pause") || !strings.Contains(err.Error(), "main.go:1:1: undefined: nonsense") {
		t.Errorf("Build = %v, want what the compiler said", err)
	}
	if left := cacheEntries(t, config); len(left) > 0 {
		t.Errorf("the cache holds %v after a failure", left)
	}
}

func cacheEntries(t *testing.T, config Config) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(config.Cache, "localkube", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
