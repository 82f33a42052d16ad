package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the hook's program, as towline is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hook" {
		os.Exit(HookMain(context.Background(), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// server is Repositories behind a real HTTP server.
type server struct {
	*Repositories
	url    string
	pushes chan Push
}

// setup serves an empty directory. Pushes go to the channel and are answered
// with one line, unless answer is given.
func setup(t testing.TB, edit func(*Config), answer Answer) *server {
	t.Helper()
	s := &server{pushes: make(chan Push, 1000)}
	s.Repositories = open(t, t.TempDir(), edit)
	if answer == nil {
		answer = func(_ context.Context, p Push) []string {
			s.pushes <- p
			return []string{"web #2 started, follow with: towline status web"}
		}
	}
	if err := s.Start(answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.url = serve(t, s.Handler())
	return s
}

func open(t testing.TB, dir string, edit func(*Config)) *Repositories {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: dir, Hook: []string{exe, "hook", "post-receive"}}
	if edit != nil {
		edit(&cfg)
	}
	r, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open repositories (these tests need the Debian package git): %v", err)
	}
	return r
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(Prefix, h)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL
}

// create makes a repository and returns its address.
func (s *server) create(t testing.TB, name string) string {
	t.Helper()
	if err := s.Create(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return s.url + Prefix + name + ".git"
}

// pushed waits for the next push that the server was told.
func (s *server) pushed(t testing.TB) Push {
	t.Helper()
	select {
	case p := <-s.pushes:
		return p
	case <-time.After(30 * time.Second):
		t.Fatal("the server was not told of the push within 30 s")
		return Push{}
	}
}

// client is a user's working copy and git program.
type client struct {
	t   testing.TB
	dir string
}

// work makes a working copy with one commit on main whose remote is url.
func work(t testing.TB, url string) *client {
	t.Helper()
	c := &client{t: t, dir: t.TempDir()}
	c.git("init", "--quiet", "--initial-branch=main")
	c.git("remote", "add", "origin", url)
	c.commit("README", "hello\n", "Say hello")
	return c
}

// clone clones url with the options given.
func clone(t testing.TB, url string, options ...string) *client {
	t.Helper()
	c := &client{t: t, dir: t.TempDir()}
	c.git(append(append([]string{"clone", "--quiet"}, options...), url, ".")...)
	return c
}

func (c *client) command(args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = c.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=2024-05-06T07:08:09+02:00",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.com",
	}
	return cmd
}

// try runs git and returns all it printed.
func (c *client) try(args ...string) (string, error) {
	out, err := c.command(args...).CombinedOutput()
	return string(out), err
}

// git runs git, which must succeed, and returns its output, trimmed.
func (c *client) git(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// refused runs git, which must fail, and returns all it printed.
func (c *client) refused(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err == nil {
		c.t.Fatalf("git %s succeeded\n%s", strings.Join(args, " "), out)
	}
	return out
}

// commit writes one file and commits it; it returns the commit.
func (c *client) commit(name, content, message string) string {
	c.t.Helper()
	c.write(name, content)
	c.git("add", "--all")
	c.git("commit", "--quiet", "--message", message)
	return c.git("rev-parse", "HEAD")
}

func (c *client) write(name, content string) {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// object stores an object of any content, as no git command would write it.
func (c *client) object(kind, content string) string {
	c.t.Helper()
	cmd := c.command("hash-object", "--literally", "-t", kind, "-w", "--stdin")
	cmd.Stdin = strings.NewReader(content)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("git hash-object: %v\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want one of kind %q", err, kind)
	}
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Errorf("error %v carries no words for the user", err)
	}
}

func wantContains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(fmt.Errorf("%w", err))
		}
		return v
	}
}
