package source

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const password = "p4ss'w0rd \"$(x)%s\\"

// far is a server elsewhere that wants a password for everything.
// Its git repositories are real, and so is the HTTP between.
type far struct {
	*server
	guarded string // its address

	mu   sync.Mutex
	seen []string // the Authorization headers
	away int      // it answers with this status, and a page
}

func farAway(t *testing.T) *far {
	t.Helper()
	f := &far{server: setup(t, nil, nil)}
	f.guarded = serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, req.Header.Get("Authorization"))
		away := f.away
		f.mu.Unlock()
		user, pass, _ := req.BasicAuth()
		switch {
		case away > 0:
			w.WriteHeader(away)
			io.WriteString(w, "<html>\n<p>gone to lunch\n")
		case user != "ada" && user != anyUser || pass != password:
			w.Header().Set("WWW-Authenticate", `Basic realm="far"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			f.Handler().ServeHTTP(w, req)
		}
	}))
	return f
}

// goAway makes all answers a page with that status, or ends that.
func (f *far) goAway(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = status
}

// mirror is a mirror of the far repository of that name.
func (f *far) mirror(name string) Mirror {
	return Mirror{Name: name, URL: f.guarded + Prefix + name + ".git", Credentials: Credentials{Username: "ada", Password: password}}
}

// near is the server that keeps the mirrors.
func near(t *testing.T, edit func(*Config)) *server {
	t.Helper()
	return setup(t, edit, nil)
}

func TestAMirrorIsARepositoryLikeOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	first := c.git("rev-parse", "HEAD")
	c.git("tag", "--annotate", "--message", "one", "v1")
	c.git("push", "origin", "main", "v1")
	push := must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	want := Push{Repository: "web", Updates: []Update{
		{Ref: "refs/heads/main", New: first}, {Ref: "refs/tags/v1", New: c.git("rev-parse", "v1")},
	}}
	if diff := cmp.Diff(want, push); diff != "" {
		t.Errorf("first fetch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"main": first}, must[map[string]string](t)(n.Heads(ctx, "web"))); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
	for _, ref := range []string{"main", "v1", first[:8], ""} {
		if rev, err := n.Revision(ctx, "web", ref); err != nil || rev.Commit != first || rev.Message != "Say hello" {
			t.Errorf("revision %q is %+v, %v", ref, rev, err)
		}
	}
	if text := must[[]byte](t)(n.ReadFile(ctx, "web", first, "README")); string(text) != "hello\n" {
		t.Errorf("README is %q", text)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	if tree := must[Tree](t)(n.Export(ctx, "web", first, dir)); tree.Files != 1 {
		t.Errorf("tree %+v", tree)
	}
	if url, ok := n.MirrorOf("web"); !ok || url != f.mirror("web").URL {
		t.Errorf("mirror of %q, %v", url, ok)
	}
	t.Run("it is cloned like others", func(t *testing.T) {
		if got := clone(t, n.url+Prefix+"web.git").git("rev-parse", "HEAD"); got != first {
			t.Errorf("HEAD is %s", got)
		}
	})
	t.Run("but not pushed to", func(t *testing.T) {
		c.commit("README", "salut\n", "Greet in French")
		out := c.refused("push", n.url+Prefix+"web.git", "main")
		wantContains(t, out, "repository web is a mirror: push to "+f.mirror("web").URL)
		if len(n.pushes) != 0 {
			t.Error("a push was told")
		}
	})
	t.Run("until it is released", func(t *testing.T) {
		f, n := farAway(t), near(t, nil)
		c := work(t, f.create(t, "web"))
		c.git("push", "origin", "main")
		must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
		for range 2 {
			if err := n.ReleaseMirror(ctx, "web"); err != nil {
				t.Fatal(err)
			}
		}
		c.commit("README", "salut\n", "Greet in French")
		c.git("push", n.url+Prefix+"web.git", "main")
		_, err := n.UpdateMirror(ctx, f.mirror("web"))
		wantKind(t, err, ErrInvalid)
		wantKind(t, n.ReleaseMirror(ctx, "shop"), ErrNoRepository)
	})
	t.Run("the same one may be added again", func(t *testing.T) {
		if push, err := n.AddMirror(ctx, f.mirror("web")); err != nil || len(push.Updates) != 0 {
			t.Errorf("%+v, %v", push, err)
		}
	})
	t.Run("another one under its name may not", func(t *testing.T) {
		m := f.mirror("web")
		m.URL = f.guarded + Prefix + "shop.git"
		_, err := n.AddMirror(ctx, m)
		wantKind(t, err, ErrExists)
	})
	t.Run("a repository that is pushed to is not made one", func(t *testing.T) {
		n.create(t, "own")
		_, err := n.AddMirror(ctx, f.mirror("own"))
		wantKind(t, err, ErrExists)
		_, err = n.UpdateMirror(ctx, f.mirror("own"))
		wantKind(t, err, ErrInvalid)
	})
}

func TestAMirrorFollows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	first := c.git("rev-parse", "HEAD")
	c.git("push", "origin", "main", "main:old", "main:deep")
	must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	follows := func(name string, want ...Update) {
		t.Helper()
		push, err := n.UpdateMirror(ctx, f.mirror("web"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, push.Updates); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	follows("nothing new")
	second := c.commit("a", "1", "Second")
	c.git("tag", "v1")
	c.git("push", "origin", "main", "v1", ":old")
	follows("a commit, a tag and a branch that is gone",
		Update{Ref: "refs/heads/main", Old: first, New: second}, Update{Ref: "refs/heads/old", Old: first}, Update{Ref: "refs/tags/v1", New: second})
	c.git("commit", "--quiet", "--amend", "--message", "Replaced")
	third := c.git("rev-parse", "HEAD")
	c.git("tag", "--force", "v1")
	c.git("push", "--force", "origin", "main", "v1")
	follows("history that was rewritten", Update{Ref: "refs/heads/main", Old: second, New: third}, Update{Ref: "refs/tags/v1", Old: second, New: third})
	c.git("push", "origin", ":deep")
	c.git("push", "origin", "main:deep/er")
	follows("a branch that takes another one's name as its directory",
		Update{Ref: "refs/heads/deep", Old: first}, Update{Ref: "refs/heads/deep/er", New: third})
	if _, err := n.Revision(ctx, "web", second); err != nil {
		t.Errorf("a commit that was replaced is gone, though an execution may have it: %v", err)
	}
	t.Run("to another address", func(t *testing.T) {
		other := work(t, f.create(t, "moved"))
		other.git("push", "origin", "main")
		m := f.mirror("web")
		m.URL = f.guarded + Prefix + "moved.git"
		push := must[Push](t)(n.UpdateMirror(ctx, m))
		if url, _ := n.MirrorOf("web"); url != m.URL || len(push.Updates) == 0 {
			t.Errorf("mirror of %s, %+v", url, push)
		}
	})
}

func TestAMirrorHasItsRemotesDefaultBranch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main", "main:trunk")
	head := func(branch string) {
		t.Helper()
		if err := f.run(ctx, command{name: "web", args: []string{"symbolic-ref", "HEAD", "refs/heads/" + branch}}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(branch string) {
		t.Helper()
		got := must[string](t)(n.HeadBranch(ctx, "web"))
		rev, err := n.Revision(ctx, "web", "")
		if got != branch || err != nil || rev.Branch != branch {
			t.Errorf("default branch %s, newest revision %+v, %v; want %s", got, rev, err, branch)
		}
	}
	head("trunk")
	must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	want("trunk")
	t.Run("one whose branch is gone has the remote's next", func(t *testing.T) {
		head("main")
		c.git("push", "origin", ":trunk")
		must[Push](t)(n.UpdateMirror(ctx, f.mirror("web")))
		want("main")
	})
	t.Run("changes of a new branch are told from there", func(t *testing.T) {
		c.git("checkout", "--quiet", "-b", "side")
		side := c.commit("side", "1", "Beside")
		c.git("push", "origin", "side")
		must[Push](t)(n.UpdateMirror(ctx, f.mirror("web")))
		if got := must[Changes](t)(n.Changes(ctx, "web", "", side)); len(got.Paths) != 1 {
			t.Errorf("changes %+v", got)
		}
	})
}

func TestMirrorName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, url := range []string{
		"https://github.com/acme/web.git", "https://github.com/acme/web", "https://gitlab.com/acme/web.git", "git@host:Web_Shop.git",
		"https://host/---", "https://host/" + strings.Repeat("x", 200), "git@host:~", "https://host/a/",
	} {
		name := MirrorName(url)
		if err := CheckName(name); err != nil || seen[name] {
			t.Errorf("%s: %s, %v, twice %v", url, name, err, seen[name])
		}
		seen[name] = true
	}
	if name := MirrorName("https://github.com/acme/web.git"); !strings.HasPrefix(name, "web-") || len(name) != len("web-12345678") {
		t.Error(name)
	}
}

func TestAForksCommitIsFetchedAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main")
	must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	want := c.commit("fork", "1", "Out of a fork")
	c.git("push", "origin", "HEAD:refs/pull/7/head")
	got, err := n.FetchRef(ctx, f.mirror("web"), "refs/pull/7/head")
	if err != nil || got != want {
		t.Fatalf("%s, %v", got, err)
	}
	if heads := must[map[string]string](t)(n.Heads(ctx, "web")); heads["main"] == want || len(heads) != 1 {
		t.Errorf("heads %v", heads)
	}
	if text := must[[]byte](t)(n.ReadFile(ctx, "web", want, "fork")); string(text) != "1" {
		t.Errorf("file %q", text)
	}
	if push := must[Push](t)(n.UpdateMirror(ctx, f.mirror("web"))); len(push.Updates) != 0 {
		t.Errorf("it is told as a push: %+v", push)
	}
	for _, ref := range []string{"main", "refs/main", "--upload-pack=x", "refs/pull/*/head", "refs/pull/7/head:refs/heads/main"} {
		_, err := n.FetchRef(ctx, f.mirror("web"), ref)
		wantKind(t, err, ErrInvalid)
	}
	_, err = n.FetchRef(ctx, f.mirror("web"), "refs/pull/8/head")
	wantKind(t, err, ErrNoRevision)
}

func TestARemoteThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := farAway(t)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	t.Cleanup(page.Close)
	for name, tt := range map[string]struct {
		edit func(*Mirror)
		want error
		text string
	}{
		"a wrong password":               {func(m *Mirror) { m.Credentials.Password = "wrong " + password }, ErrDenied, "does not accept these credentials"},
		"no password":                    {func(m *Mirror) { m.Credentials = Credentials{} }, ErrDenied, "does not accept these credentials"},
		"a repository that is not there": {func(m *Mirror) { m.URL = strings.Replace(m.URL, "web", "shop", 1) }, ErrDenied, "there is no such repository"},
		"a server that is not there":     {func(m *Mirror) { m.URL = "http://127.0.0.1:1/web.git" }, ErrUnreachable, "cannot be fetched"},
		"a host that is not there":       {func(m *Mirror) { m.URL = "http://nowhere.invalid/web.git" }, ErrUnreachable, "cannot be fetched"},
		"a page that is no repository":   {func(m *Mirror) { m.URL = page.URL + "/web.git" }, ErrUnreachable, "neither branches nor tags"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			n := near(t, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			m := f.mirror("web")
			tt.edit(&m)
			_, err := n.AddMirror(ctx, m)
			wantKind(t, err, tt.want)
			if err == nil {
				return
			}
			wantContains(t, err.Error(), tt.text, m.URL)
			if strings.Contains(err.Error()+log.String(), password) {
				t.Errorf("the password is shown: %v\n%s", err, &log)
			}
			if n.Exists("web") {
				t.Error("half of a mirror is left")
			}
			if left, _ := filepath.Glob(filepath.Join(n.dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	t.Run("one that goes away and comes back", func(t *testing.T) {
		t.Parallel()
		f, n := farAway(t), near(t, nil)
		work(t, f.create(t, "web")).git("push", "origin", "main")
		must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusOK} {
			f.goAway(status)
			_, err := n.UpdateMirror(ctx, f.mirror("web"))
			wantKind(t, err, ErrUnreachable)
			if _, err := n.Revision(ctx, "web", "main"); err != nil {
				t.Errorf("the mirror cannot be used meanwhile: %v", err)
			}
		}
		f.goAway(0)
		if _, err := n.UpdateMirror(ctx, f.mirror("web")); err != nil {
			t.Error(err)
		}
	})
}

func TestCredentialsReachTheirHostAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := farAway(t)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	t.Run("a token needs no user name", func(t *testing.T) {
		t.Parallel()
		m := f.mirror("web")
		m.Credentials.Username = ""
		if _, err := near(t, nil).AddMirror(ctx, m); err != nil {
			t.Error(err)
		}
	})
	t.Run("another host, to which the first one redirects, is told nothing", func(t *testing.T) {
		t.Parallel()
		other := farAway(t)
		redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if _, pass, _ := req.BasicAuth(); pass != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="far"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, req, other.guarded+req.URL.RequestURI(), http.StatusFound)
		}))
		t.Cleanup(redirect.Close)
		work(t, other.create(t, "web")).git("push", "origin", "main")
		m := f.mirror("web")
		m.URL = redirect.URL + Prefix + "web.git"
		_, err := near(t, nil).AddMirror(ctx, m)
		wantKind(t, err, ErrDenied)
		other.mu.Lock()
		defer other.mu.Unlock()
		if len(other.seen) == 0 || strings.Join(other.seen, "") != "" {
			t.Errorf("the other host was told %q", other.seen)
		}
	})
	t.Run("no command line and no trace of git shows them", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		trace := filepath.Join(dir, "trace")
		script := fmt.Sprintf("#!/bin/sh\nexport GIT_TRACE=%s\necho \"$0 $@\" >>%s\nexec git \"$@\"\n", trace, trace)
		if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		n := near(t, func(c *Config) { c.Git = filepath.Join(dir, "git") })
		must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
		text := string(must[[]byte](t)(os.ReadFile(trace)))
		wantContains(t, text, "ls-remote", "fetch", "f get", f.guarded)
		if strings.Contains(text, password) || strings.Contains(text, "p4ss") {
			t.Errorf("the password is in:\n%s", text)
		}
	})
	t.Run("nor does formatted text or a log", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		m := f.mirror("web")
		slog.New(slog.NewJSONHandler(&log, nil)).Info("mirror", "credentials", m.Credentials)
		text := fmt.Sprintf("%v %+v %#v %s %q %v", m, m, m, m.Credentials, m.Credentials, &m) + log.String()
		if strings.Contains(text, "p4ss") || !strings.Contains(text, "[hidden]") {
			t.Error(text)
		}
	})
}

func TestAFetchIsNotWithoutLimit(t *testing.T) {
	t.Parallel()
	f := setup(t, nil, nil)
	c := work(t, f.create(t, "web"))
	noise := make([]byte, 3<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	c.commit("noise", string(noise), "Add noise")
	c.git("push", "origin", "main")
	// It sends 2 MiB and then no more, until the client goes away.
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.Handler().ServeHTTP(&stalling{ResponseWriter: w, req: req, left: 2 << 20}, req)
	}))
	n := near(t, func(c *Config) { c.MaxPush = 1 << 20 })
	_, err := n.AddMirror(t.Context(), Mirror{Name: "web", URL: web + Prefix + "web.git"})
	wantKind(t, err, ErrTooLarge)
	if n.Exists("web") {
		t.Error("half of a mirror is left")
	}
}

type stalling struct {
	http.ResponseWriter
	req  *http.Request
	left int
}

func (s *stalling) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		<-s.req.Context().Done()
		return 0, errors.New("the client has gone")
	}
	return s.ResponseWriter.Write(p)
}

func (s *stalling) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func TestUpdatesOfOneMirrorFollowOneAnother(t *testing.T) {
	t.Parallel()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main")
	must[Push](t)(n.AddMirror(t.Context(), f.mirror("web")))
	c.git("push", "origin", "main:two")
	var all sync.WaitGroup
	var mu sync.Mutex
	told := 0
	for range 4 {
		all.Go(func() {
			push, err := n.UpdateMirror(t.Context(), f.mirror("web"))
			mu.Lock()
			defer mu.Unlock()
			told += len(push.Updates)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if told != 1 {
		t.Errorf("the new branch was told %d times", told)
	}
}

func TestFileMirrors(t *testing.T) {
	t.Parallel()
	f := setup(t, nil, nil)
	work(t, f.create(t, "web")).git("push", "origin", "main")
	m := Mirror{Name: "web", URL: "file://" + f.Path("web")}
	_, err := near(t, nil).AddMirror(t.Context(), m)
	wantKind(t, err, ErrInvalid)
	if _, err := near(t, func(c *Config) { c.FileMirrors = true }).AddMirror(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	r, files := open(t, t.TempDir(), nil), open(t, t.TempDir(), func(c *Config) { c.FileMirrors = true })
	for _, good := range []string{
		"https://github.com/acme/web.git", "https://github.com/acme/web", "http://10.0.0.1:3000/acme/web.git", "https://[::1]:8443/web",
		"ssh://git@github.com/acme/web.git", "ssh://git@gitlab.example.com:2222/acme/shop/web.git", "git@github.com:acme/web.git",
		"git://git.example.com/web.git", "ada@host:~/web.git", "https://git.example.com/~ada/web%20shop.git",
	} {
		if err := r.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "web", "/srv/web.git", "../web", "file:///srv/web.git", "C:\\web", "acme/web",
		"ext::sh -c touch% /tmp/x", "ext::sh", "fd::7", "ext://x/y", "https::https://x/y", "a@ext::sh",
		"-oProxyCommand=x", "ssh://-oProxyCommand=x/web", "ssh://-o@host/web", "-o@host:web", "git@-host:web", "git@host:-x", "ssh://git@host/-x",
		"--upload-pack=x", "https://-x/y",
		"https://ada:hunter2@host/web", "https://hunter2@host/web", "ssh://git:hunter2@host/web", "https://hunter2:@host/web",
		"https://host/web?x=1", "https://host/web#x", "https://host/web?", "https://host", "https://host/", "https:///web", "https:web",
		"https://ho st/web", "https://host/we\nb", "https://host/w\x00", "https://host/w%0ab", "https://host/ü", "https://host:port/web", "https://ho'st/web",
		"ssh://%2doProxyCommand@host/web", "ssh://git@host%2fx/web", "https://hunter2@%zz", "ftp://host/web", "https://" + strings.Repeat("x", maxURL),
	} {
		err := r.CheckURL(bad)
		wantKind(t, err, ErrInvalid)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q repeats a password", err)
		}
	}
	for url, ok := range map[string]bool{
		"file:///srv/web.git": true, "file://host/srv/web": false, "file:///srv/../web": false, "file://web": false, "file:///srv/web/": false,
	} {
		if err := files.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestCredentialsThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := open(t, t.TempDir(), nil)
	for name, m := range map[string]Mirror{
		"a line break in a password":    {URL: "https://host/web", Credentials: Credentials{Password: "x\nhost=evil"}},
		"a key for https":               {URL: "https://host/web", Credentials: Credentials{PrivateKey: "x", KnownHosts: "x"}},
		"ssh without known hosts":       {URL: "git@host:web", Credentials: Credentials{PrivateKey: "x"}},
		"ssh without a key":             {URL: "git@host:web", Credentials: Credentials{KnownHosts: "x"}},
		"ssh with a password":           {URL: "git@host:web", Credentials: Credentials{PrivateKey: "x", KnownHosts: "x", Password: "x"}},
		"a password for git's protocol": {URL: "git://host/web", Credentials: Credentials{Password: "x"}},
	} {
		m.Name = "web"
		_, err := r.AddMirror(t.Context(), m)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzParseRefs(f *testing.F) {
	hash := strings.Repeat("1a", 20)
	for _, s := range []string{
		hash + "\trefs/heads/main\n" + hash + "\trefs/tags/v1\n", hash + "\tHEAD\n", "ref: refs/heads/main\tHEAD\n" + hash + "\tHEAD\n",
		"<html>\n", hash + "\trefs/heads/../x", hash + "\trefs/heads/-x\n\n", "ref: refs/heads/x\ndelete refs/heads/y", hash + " refs/heads/main",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, out string) {
		refs, odd := parseRefs(out)
		if odd != "" && refs != nil {
			t.Errorf("%q gives both refs and an odd line", out)
		}
		if ref, ok := parseSymref(out); ok {
			refs = map[string]string{ref: strings.Repeat("0", 40)}
		}
		for ref, object := range refs {
			// What is written to git update-ref --stdin, and to command lines.
			if !isHash(object) || !strings.HasPrefix(ref, "refs/") || strings.ContainsAny(ref, " \n\t\x00") || strings.Contains(ref, "..") {
				t.Errorf("%q gives ref %q at %q", out, ref, object)
			}
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://h/p", "git@h:p", "ssh://u@h:22/p", "ext::sh -c x", "file:///x", "-o@h:p", "https://u:p@h/p", "git://[::1]/x"} {
		f.Add(s)
	}
	r := &Repositories{cfg: Config{FileMirrors: true}}
	f.Fuzz(func(t *testing.T, address string) {
		to, err := r.parseURL(address)
		if err != nil {
			wantKind(t, err, ErrInvalid)
			return
		}
		if address[0] == '-' || strings.HasPrefix(to.host, "-") || strings.ContainsAny(address, " \t\n\x00\\#?") {
			t.Errorf("%q passed as %+v", address, to)
		}
		if strings.Contains(address, "::") && !strings.Contains(address, "[") && !strings.Contains(address, "://") {
			t.Errorf("%q passed as %+v", address, to)
		}
		switch to.scheme {
		case "https", "http", "ssh", "git", "file":
		default:
			t.Errorf("%q passed as %+v", address, to)
		}
	})
}

// The words of git 2.39 and of forges, which cannot all be had from a real one.
func TestWhatGitSaysBecomesWordsForTheUser(t *testing.T) {
	t.Parallel()
	m := Mirror{Name: "web", URL: "https://h/web.git", Credentials: Credentials{Password: "hunter2"}}
	for _, tt := range []struct {
		said string
		want error // nil: passed on
	}{
		{"remote: Invalid username or token. Password authentication is not supported for Git operations.\nfatal: Authentication failed for 'https://h/web.git/'", ErrDenied},
		{"remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed", ErrDenied},
		{"fatal: could not read Username for 'https://h': terminal prompts disabled", ErrDenied},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 403", ErrDenied},
		{"remote: Repository not found.\nfatal: repository 'https://h/web.git/' not found", ErrDenied},
		{"ERROR: Repository not found.\nfatal: Could not read from remote repository.", ErrDenied},
		{"git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", ErrDenied},
		{"No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.\nfatal: Could not read from remote repository.", ErrDenied},
		{"fatal: couldn't find remote ref refs/pull/8/head", ErrNoRevision},
		{"fatal: unable to access 'https://h/web.git/': Could not resolve host: h", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 502", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': The requested URL returned error: 301", ErrUnreachable},
		{"fatal: unable to access 'https://h/web.git/': SSL certificate problem: unable to get local issuer certificate", ErrUnreachable},
		{"ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.", ErrUnreachable},
		{"fatal: the remote end hung up unexpectedly", ErrUnreachable},
		{"error: RPC failed; curl 28 Operation too slow.\nfatal: expected flush after ref listing; timed out", ErrUnreachable},
		{"fatal: transport 'file' not allowed", ErrInvalid},
		{"error: object 1a: nullSha1: contains entries pointing to null sha1\nfatal: fsck error in packed object", ErrInvalid},
		{"fatal: cannot update the ref 'refs/heads/main': unable to append: No space left on device", nil},
	} {
		err := fetchError(m, &GitError{Command: "git fetch", Stderr: tt.said + " hunter2", Err: errors.New("exit status 128")})
		if _, ok := errors.AsType[*Error](err); tt.want == nil && ok || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s\nbecomes %v", tt.said, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v shows a password", err)
		}
	}
}
