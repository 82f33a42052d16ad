package source

import (
	"io"
	"net/http"
	"path/filepath"
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
