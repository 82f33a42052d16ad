package source

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRepositories(t *testing.T) {
	t.Parallel()

	t.Run("are created, listed and deleted", func(t *testing.T) {
		t.Parallel()
		r := open(t, t.TempDir(), nil)
		for _, name := range []string{"web", "api", "a-1"} {
			if err := r.Create(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Delete(t.Context(), "api"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a-1", "web"}, must[[]string](t)(r.List(t.Context()))); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		if r.Exists("api") || !r.Exists("web") || r.Exists("../web") {
			t.Error("Exists is wrong")
		}
		head := must[[]byte](t)(os.ReadFile(filepath.Join(r.Path("web"), "HEAD")))
		if string(head) != "ref: refs/heads/main\n" {
			t.Errorf("HEAD is %q", head)
		}
		wantKind(t, r.Delete(t.Context(), "api"), ErrNoRepository)
	})

	t.Run("of two that create the same one, one gets it", func(t *testing.T) {
		t.Parallel()
		r := open(t, t.TempDir(), nil)
		var created, exists atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := r.Create(t.Context(), "web")
				if err == nil {
					created.Add(1)
					return
				}
				wantKind(t, err, ErrExists)
				exists.Add(1)
			})
		}
		wg.Wait()
		if created.Load() != 1 || exists.Load() != 7 {
			t.Errorf("%d created, %d told that it exists", created.Load(), exists.Load())
		}
		entries := must[[]os.DirEntry](t)(os.ReadDir(r.dir))
		if len(entries) != 2 {
			t.Errorf("left in the directory: %v", entries)
		}
	})

	t.Run("are clean again after a crash", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		r := open(t, dir, nil)
		if err := r.Create(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		for _, left := range []string{arriving + "1", leaving + "2", scratch + "3"} {
			if err := os.MkdirAll(filepath.Join(dir, left, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		r = open(t, dir, nil)
		if diff := cmp.Diff([]string{"web"}, must[[]string](t)(r.List(t.Context()))); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		if entries := must[[]os.DirEntry](t)(os.ReadDir(dir)); len(entries) != 2 {
			t.Errorf("left in the directory: %v", entries)
		}
	})
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "web", "web-shop", "9", strings.Repeat("a", 63), "git", "hooks"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", "a-", "Web", "a_b", "a.b", "..", ".", "a/b", "a b", "a\x00", "\u00e9", strings.Repeat("a", 64), ".git", "a\n"} {
		wantKind(t, CheckName(name), ErrInvalid)
	}
	got := CheckName("Web").Error()
	want := `"Web" cannot be the name of a repository: it contains 'W'; use 1 to 63 lower-case letters, digits and hyphens, such as web-shop`
	if got != want {
		t.Errorf("error is %s", got)
	}
}

func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"web", "a-b", "..", "a/b", "", "-", "A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) != nil {
			return
		}
		if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ToLower(name) != name || len(name) > maxName {
			t.Errorf("%q passes", name)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()

	t.Run("a machine without git, naming the package", func(t *testing.T) {
		t.Parallel()
		_, err := New(t.Context(), Config{Dir: t.TempDir(), Git: "no-such-git"})
		if err == nil {
			t.Fatal("it was opened")
		}
		wantContains(t, err.Error(), "install git 2.32 or newer")
	})

	t.Run("a git that is too old", func(t *testing.T) {
		t.Parallel()
		old := filepath.Join(t.TempDir(), "git")
		if err := os.WriteFile(old, []byte("#!/bin/sh\necho git version 2.17.1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := New(t.Context(), Config{Dir: t.TempDir(), Git: old})
		if err == nil {
			t.Fatal("it was opened")
		}
		wantContains(t, err.Error(), "is version 2.17; install git 2.32 or newer")
	})
}

func TestGitEnvironment(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir(), nil)

	t.Run("reads no configuration but ours", func(t *testing.T) {
		t.Parallel()
		out := must[[]byte](t)(r.output(t.Context(), command{args: []string{"config", "--list", "--show-scope"}}))
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "command") {
				t.Errorf("read from elsewhere: %s", line)
			}
		}
	})

	t.Run("an error carries git's words", func(t *testing.T) {
		t.Parallel()
		err := r.run(t.Context(), command{args: []string{"hash-object", "--no-such-option"}})
		if err == nil {
			t.Fatal("it succeeded")
		}
		wantContains(t, err.Error(), "git hash-object: exit status 129", "no-such-option")
	})

	t.Run("a command that hangs is ended and named", func(t *testing.T) {
		t.Parallel()
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		err = r.run(t.Context(), command{args: []string{"hash-object", "--stdin"}, stdin: in, timeout: 1})
		if err == nil {
			t.Fatal("it succeeded")
		}
		wantContains(t, err.Error(), "git hash-object: took longer than 1ns")
	})
}

func TestStartAndStop(t *testing.T) {
	t.Parallel()

	t.Run("the socket is the owner's alone, at a short and at a long path", func(t *testing.T) {
		t.Parallel()
		short := must[string](t)(os.MkdirTemp("", "t")) //nolint:usetesting // t.TempDir is not short
		t.Cleanup(func() { os.RemoveAll(short) })
		long := filepath.Join(short, strings.Repeat("long", 30))
		for _, dir := range []string{short, long} {
			r := open(t, dir, nil)
			if err := r.Start(func(context.Context, Push) []string { return nil }); err != nil {
				t.Fatal(err)
			}
			socket := r.life.socketPath()
			info := must[os.FileInfo](t)(os.Stat(socket))
			if info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("mode of %s is %v", socket, info.Mode())
			}
			if inside := filepath.Dir(socket) == dir; inside != (dir == short) {
				t.Errorf("the socket is at %s", socket)
			}
			if r.Start(nil) == nil {
				t.Error("started twice")
			}
			for range 2 {
				if err := r.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Stat(socket); err == nil {
				t.Error("the socket is left")
			}
		}
	})

	t.Run("a stop lets a push be answered", func(t *testing.T) {
		t.Parallel()
		entered, leave := make(chan struct{}), make(chan struct{})
		s := setup(t, nil, func(context.Context, Push) []string {
			close(entered)
			<-leave
			return []string{"taken"}
		})
		c := work(t, s.create(t, "web"))
		out := make(chan string, 1)
		go func() {
			text, _ := c.try("push", "origin", "main")
			out <- text
		}()
		<-entered
		stopped := make(chan error, 1)
		go func() { stopped <- s.Stop(context.Background()) }()
		close(leave)
		wantContains(t, <-out, "remote: towline: taken")
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
