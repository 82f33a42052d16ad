package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/buildspec"
)

// machine is where a build finds its files, and what its log says.
type machine struct {
	source, home string
	archives     cache.Archives
	log          strings.Builder
}

func newMachine(t *testing.T, archives cache.Archives, files map[string]string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{source: filepath.Join(dir, "src"), home: filepath.Join(dir, "home"), archives: archives}
	if err := errors.Join(os.Mkdir(m.source, 0o755), os.Mkdir(m.home, 0o755)); err != nil {
		t.Fatal(err)
	}
	m.write(t, files)
	return m
}

func (m *machine) path(name string) string {
	if below, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(m.home, below)
	}
	return filepath.Join(m.source, name)
}

// write makes files, and links of texts that begin with "-> ".
func (m *machine) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := m.path(name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = errors.Join(err, os.Symlink(to, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// files are those of the machine, as write takes them.
func (m *machine) files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for prefix, dir := range map[string]string{"": m.source, "~/": m.home} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			below, _ := filepath.Rel(dir, path)
			if d.Type() == fs.ModeSymlink {
				to, err := os.Readlink(path)
				found[prefix+below] = "-> " + to
				return err
			}
			text, err := os.ReadFile(path)
			found[prefix+below] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func (m *machine) keeper(c buildspec.Cache) *cache.Keeper {
	return &cache.Keeper{
		Cache: c, Archives: m.archives, Owner: -1,
		Places: []cache.Place{{Name: "source", Dir: m.source, Seen: []string{"/build/src"}}, {Name: "home", Dir: m.home, Seen: []string{m.home, "/root"}}},
		Printf: func(format string, args ...any) { fmt.Fprintf(&m.log, format+"\n", args...) },
	}
}

// plain is a shell that finds nothing to replace.
func plain(_ context.Context, texts []string) ([]string, error) { return texts, nil }

func (m *machine) restore(t *testing.T, c buildspec.Cache) *cache.Keeper {
	t.Helper()
	k := m.keeper(c)
	if err := k.Restore(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	return k
}

func archivesOf(t *testing.T, s cache.Store, pipeline string) cache.Archives {
	t.Helper()
	a, err := s.Of(pipeline)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFilesComeBackInTheNextBuild(t *testing.T) {
	t.Parallel()
	archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
	spec := buildspec.Cache{Paths: []string{"node_modules/**/*", "/root/.npm/**/*", "/build/src/one.txt", "/etc/**/*", "empty/**/*", "no/such/*"}}
	first := newMachine(t, archives, map[string]string{
		"node_modules/a/index.js": "a", "node_modules/.bin/a": "-> ../a/index.js", "node_modules/b": "-> a",
		"node_modules/out": "-> /etc/passwd", "node_modules/up": "-> ../../x", "~/.npm/deep/er/b": "b", "~/.other": "no", "one.txt": "1", "src.js": "s",
	})
	tool := first.path("node_modules/a/index.js")
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := errors.Join(os.Chmod(tool, 0o755), os.Chtimes(tool, long, long)); err != nil {
		t.Fatal(err)
	}
	first.restore(t, spec).Save(t.Context())
	second := newMachine(t, archives, map[string]string{"one.txt": "newer", "src.js": "s"})
	second.restore(t, spec)
	want := map[string]string{
		"node_modules/a/index.js": "a", "node_modules/.bin/a": "-> ../a/index.js", "node_modules/b": "-> a",
		"~/.npm/deep/er/b": "b", "one.txt": "newer", "src.js": "s",
	}
	if diff := cmp.Diff(want, second.files(t)); diff != "" {
		t.Errorf("(-want +got)\n%s%s%s", diff, first.log.String(), second.log.String())
	}
	info, err := os.Stat(second.path("node_modules/a/index.js"))
	if err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(long) {
		t.Errorf("the file came back as %v, %v", info, err)
	}
	for _, line := range []string{
		"cache: there is none yet\n", "warning: cache: /etc/**/* is left out: ", "warning: cache: node_modules/out is left out: the link leads to /etc/passwd",
		"warning: cache: node_modules/up is left out: ", "cache: saved ",
	} {
		if !strings.Contains(first.log.String(), line) {
			t.Errorf("the log has no %q\n%s", line, first.log.String())
		}
	}
	if log := second.log.String(); !strings.Contains(log, "cache: restored 4 files") || !strings.Contains(log, "; 1 are in the source already") {
		t.Error(log)
	}
}

func TestKeysNameTheSameFilesForEver(t *testing.T) {
	t.Parallel()
	archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
	spec := func(key string, fallback ...string) buildspec.Cache {
		return buildspec.Cache{Key: key, Fallback: fallback, Paths: []string{"dep"}}
	}
	build := func(c buildspec.Cache, text string) string {
		t.Helper()
		m := newMachine(t, archives, nil)
		k := m.restore(t, c)
		came := m.files(t)["dep"]
		if err := os.WriteFile(m.path("dep"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.Save(t.Context())
		return came
	}
	for i, step := range []struct {
		cache      buildspec.Cache
		save, want string
	}{
		{spec("npm-1"), "one", ""},
		{spec("npm-1"), "changed", "one"},
		{spec("npm-1"), "again", "one"},
		{spec("npm-2", "npm-"), "two", "one"},
		{spec("npm-3", "", "npm-"), "three", "two"},
		{spec("npm-4", "npm-1", "npm-"), "four", "one"},
		{spec("pip-1", "go-", "pip-"), "pip", ""},
		{buildspec.Cache{Fallback: []string{"npm-"}, Paths: []string{"dep"}}, "unnamed", ""},
		{buildspec.Cache{Paths: []string{"dep"}}, "newer", "unnamed"},
		{buildspec.Cache{Paths: []string{"dep"}, Action: buildspec.CacheRestore}, "not saved", "newer"},
		{buildspec.Cache{Paths: []string{"dep"}, Action: buildspec.CacheSave}, "saved", ""},
		{buildspec.Cache{Paths: []string{"dep"}}, "", "saved"},
	} {
		if got := build(step.cache, step.save); got != step.want {
			t.Errorf("step %d: restored %q, want %q", i, got, step.want)
		}
	}
}

func TestOnlyWhatHasChangedIsSavedWithoutAKey(t *testing.T) {
	t.Parallel()
	archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
	spec := buildspec.Cache{Paths: []string{"dep/**/*"}}
	first := newMachine(t, archives, map[string]string{"dep/a": "a"})
	first.restore(t, spec).Save(t.Context())
	second := newMachine(t, archives, nil)
	second.restore(t, spec).Save(t.Context())
	if log := second.log.String(); strings.Contains(log, "saved") {
		t.Error(log)
	}
	third := newMachine(t, archives, nil)
	k := third.restore(t, spec)
	third.write(t, map[string]string{"dep/b": "b"})
	k.Save(t.Context())
	if log := third.log.String(); !strings.Contains(log, "saved") {
		t.Error(log)
	}
}

func TestTheShellReplacesKeyAndPaths(t *testing.T) {
	t.Parallel()
	archives := archivesOf(t, cache.Store{Dir: t.TempDir()}, "web")
	shell := func(_ context.Context, texts []string) ([]string, error) {
		var all []string
		for _, text := range texts {
			all = append(all, strings.NewReplacer("$HASH", "abc", "$DIR", "dep", "$EMPTY", "").Replace(text))
		}
		return all, nil
	}
	m := newMachine(t, archives, map[string]string{"dep/a": "a"})
	k := m.keeper(buildspec.Cache{Key: "npm-$HASH", Paths: []string{"$DIR/*"}})
	if err := k.Restore(t.Context(), shell); err != nil {
		t.Fatal(err)
	}
	k.Save(t.Context())
	if entry, archive, err := archives.Find(t.Context(), "npm-abc", nil); err != nil || entry.Key != "npm-abc" || archive.Close() != nil {
		t.Errorf("%+v, %v\n%s", entry, err, m.log.String())
	}
	empty := m.keeper(buildspec.Cache{Key: "$EMPTY", Paths: []string{"$DIR/*"}})
	if err := empty.Restore(t.Context(), shell); err != nil {
		t.Fatal(err)
	}
	empty.Save(t.Context())
	if _, _, err := archives.Find(t.Context(), "", nil); !errors.Is(err, cache.ErrNone) || !strings.Contains(m.log.String(), "the key $EMPTY is empty") {
		t.Errorf("a key that is empty: %v\n%s", err, m.log.String())
	}
	stopped := errors.New("stopped")
	if err := empty.Restore(t.Context(), func(context.Context, []string) ([]string, error) { return nil, stopped }); !errors.Is(err, stopped) {
		t.Errorf("a shell that ends: %v", err)
	}
	cut := m.keeper(buildspec.Cache{Paths: []string{"dep"}})
	if err := cut.Restore(t.Context(), func(context.Context, []string) ([]string, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.log.String(), "cannot read the key or a path") {
		t.Error(m.log.String())
	}
}

func TestPipelinesDoNotShareCaches(t *testing.T) {
	t.Parallel()
	store := cache.Store{Dir: t.TempDir()}
	spec := buildspec.Cache{Key: "k", Fallback: []string{"k"}, Paths: []string{"dep"}}
	newMachine(t, archivesOf(t, store, "web"), map[string]string{"dep": "web's"}).restore(t, spec).Save(t.Context())
	for _, other := range []string{"api", "web/..", "web-"} {
		m := newMachine(t, archivesOf(t, store, other), nil)
		m.restore(t, spec)
		if files := m.files(t); len(files) > 0 {
			t.Errorf("pipeline %s gets %v", other, files)
		}
	}
	for _, name := range []string{"", ".", ".."} {
		if _, err := store.Of(name); err == nil {
			t.Errorf("a pipeline may be named %q", name)
		}
	}
}

func TestArchivesAreBounded(t *testing.T) {
	t.Parallel()
	store := cache.Store{Dir: t.TempDir(), Total: 1 << 40}
	save := func(pipeline, key string) {
		t.Helper()
		m := newMachine(t, archivesOf(t, store, pipeline), map[string]string{"dep": strings.Repeat(key+pipeline, 10)})
		m.restore(t, buildspec.Cache{Key: key, Paths: []string{"dep"}}).Save(t.Context())
	}
	save("web", "a")
	save("api", "b")
	save("web", "c")
	old := time.Now().Add(-time.Hour)
	records, err := filepath.Glob(filepath.Join(store.Dir, "*", "*.json"))
	if err != nil || len(records) != 3 {
		t.Fatal(records, err)
	}
	for _, record := range records {
		if err := os.Chtimes(record, old, old); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(store.Dir, "web", "1.new")
	if err := errors.Join(os.WriteFile(left, nil, 0o600), os.Chtimes(left, old.AddDate(0, 0, -3), old.AddDate(0, 0, -3))); err != nil {
		t.Fatal(err)
	}
	// What is used stays.
	newMachine(t, archivesOf(t, store, "api"), nil).restore(t, buildspec.Cache{Key: "b", Paths: []string{"dep"}})
	if err := store.Trim(); err != nil {
		t.Fatal(err)
	}
	if all, _ := filepath.Glob(filepath.Join(store.Dir, "*", "*")); len(all) != 6 {
		t.Errorf("within the bound there are %v", all)
	}
	store.Total = 200
	if err := store.Trim(); err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(store.Dir, "*", "*"))
	if len(all) != 2 || filepath.Base(filepath.Dir(all[0])) != "api" {
		t.Errorf("beyond the bound there are %v", all)
	}
	large := newMachine(t, cache.Dir{Path: t.TempDir(), Largest: 10}, map[string]string{"dep": "0123456789"})
	large.restore(t, buildspec.Cache{Paths: []string{"dep"}}).Save(t.Context())
	if log := large.log.String(); !strings.Contains(log, "it is not saved: ") || !strings.Contains(log, "the archive is larger") {
		t.Error(log)
	}
	many := newMachine(t, archivesOf(t, store, "web"), map[string]string{"dep/a": "a", "dep/b": "b"})
	k := many.keeper(buildspec.Cache{Paths: []string{"dep/*"}})
	k.Limits = cache.Limits{Files: 1, Bytes: 1}
	if err := k.Restore(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	k.Save(t.Context())
	if log := many.log.String(); !strings.Contains(log, "there are more than 1 files") {
		t.Error(log)
	}
}
