package source

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/waittest"
)

// TestLargePushStreams is not parallel, and so runs alone: it measures memory.
func TestLargePushStreams(t *testing.T) {
	const size = 200 << 20
	// The server's git may have 96 MiB of memory of its own, beside the files
	// that it maps.
	limited := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(limited, []byte("#!/bin/sh\nulimit -d 98304 && exec git \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := setup(t, func(c *Config) { c.Git = limited }, nil)
	url := s.create(t, "web")
	c := work(t, url)
	c.git("config", "core.bigFileThreshold", "1m")
	c.git("config", "core.compression", "0")
	file, err := os.Create(filepath.Join(c.dir, "random"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(file, rand.Reader, size); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	c.git("add", "random")
	c.git("commit", "--quiet", "--message", "Add 200 MB")

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	c.git("push", "origin", "main")
	pushTime := time.Since(start)
	start = time.Now()
	copied := clone(t, url, "--config", "core.bigFileThreshold=1m")
	cloneTime := time.Since(start)
	runtime.ReadMemStats(&after)

	info, err := os.Stat(filepath.Join(copied.dir, "random"))
	if err != nil || info.Size() != size {
		t.Fatalf("cloned file: %v, %v", info, err)
	}
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("push %v, clone %v; allocated in the server: %d MiB", pushTime, cloneTime, allocated)
	if allocated > 16 {
		t.Errorf("the server allocated %d MiB for a push and a clone of 200 MiB", allocated)
	}
}

func TestPush(t *testing.T) {
	t.Parallel()

	t.Run("the server is told and its answer reaches the pusher", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		commit := c.git("rev-parse", "HEAD")
		out := c.git("push", "origin", "main")
		wantContains(t, out, "remote: towline: web #2 started, follow with: towline status web")
		want := Push{Repository: "web", Updates: []Update{{Ref: "refs/heads/main", New: commit}}}
		if diff := cmp.Diff(want, s.pushed(t)); diff != "" {
			t.Errorf("push (-want +got):\n%s", diff)
		}
		heads := must[map[string]string](t)(s.Heads(t.Context(), "web"))
		if diff := cmp.Diff(map[string]string{"main": commit}, heads); diff != "" {
			t.Errorf("heads (-want +got):\n%s", diff)
		}
	})

	t.Run("a clone sees what was pushed, in every protocol version", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		url := s.create(t, "web")
		c := work(t, url)
		c.commit("README", "hello again\n", "Say it again")
		c.git("push", "origin", "main")
		for _, version := range []string{"0", "1", "2"} {
			copied := clone(t, url, "--config", "protocol.version="+version)
			if got, want := copied.git("rev-parse", "HEAD"), c.git("rev-parse", "HEAD"); got != want {
				t.Errorf("protocol %s: HEAD is %s, want %s", version, got, want)
			}
			if branch := copied.git("symbolic-ref", "HEAD"); branch != "refs/heads/main" {
				t.Errorf("protocol %s: HEAD names %s", version, branch)
			}
		}
	})

	t.Run("forced pushes, deletions and tags are told as such", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		first := c.git("rev-parse", "HEAD")
		c.git("push", "origin", "main", "main:feature/one")
		s.pushed(t)
		c.git("commit", "--quiet", "--amend", "--message", "Say it better")
		second := c.git("rev-parse", "HEAD")
		wantContains(t, c.refused("push", "origin", "main"), "non-fast-forward")
		c.git("tag", "--annotate", "--message", "one", "v1")
		tag := c.git("rev-parse", "v1")
		c.git("push", "--force", "origin", "main", "v1", ":feature/one")
		want := Push{Repository: "web", Updates: []Update{
			{Ref: "refs/heads/feature/one", Old: first},
			{Ref: "refs/heads/main", Old: first, New: second},
			{Ref: "refs/tags/v1", New: tag},
		}}
		got := s.pushed(t)
		if diff := cmp.Diff(want, got, cmp.Transformer("sort", byRef)); diff != "" {
			t.Errorf("push (-want +got):\n%s", diff)
		}
		heads := must[map[string]string](t)(s.Heads(t.Context(), "web"))
		if diff := cmp.Diff(map[string]string{"main": second}, heads); diff != "" {
			t.Errorf("heads (-want +got):\n%s", diff)
		}
		// An execution of the replaced commit can still be retried.
		if _, err := s.Export(t.Context(), "web", first, filepath.Join(t.TempDir(), "tree")); err != nil {
			t.Error(err)
		}
	})

	t.Run("shallow and partial clones work and can push", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		url := s.create(t, "web")
		c := work(t, url)
		for i := range 5 {
			c.commit("README", fmt.Sprint(i), "Count")
		}
		c.git("push", "origin", "main")
		shallow := clone(t, url, "--depth=1")
		if n := shallow.git("rev-list", "--count", "HEAD"); n != "1" {
			t.Errorf("the shallow clone has %s commits", n)
		}
		shallow.commit("README", "shallow", "Push from a shallow clone")
		shallow.git("push", "origin", "main")
		partial := clone(t, url, "--filter=blob:none", "--no-checkout")
		if missing := partial.git("rev-list", "--objects", "--all", "--missing=print"); !strings.Contains(missing, "?") {
			t.Errorf("the partial clone left nothing out:\n%s", missing)
		}
		partial.git("checkout", "main")
		partial.git("fetch", "origin", c.git("rev-parse", "HEAD~2"))
	})

	t.Run("the answer cannot steer the pusher's terminal", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, func(context.Context, Push) []string { return []string{"red \x1b[31m\rline", "second"} })
		out := work(t, s.create(t, "web")).git("push", "origin", "main")
		wantContains(t, out, "remote: towline: red  [31m line", "remote: towline: second")
	})
}

func byRef(updates []Update) map[string]Update {
	m := map[string]Update{}
	for _, u := range updates {
		m[u.Ref] = u
	}
	return m
}

func TestPushWithoutAnAnswer(t *testing.T) {
	t.Parallel()

	t.Run("a server that does not answer costs the pusher a moment and nothing else", func(t *testing.T) {
		t.Parallel()
		leave, left := make(chan struct{}), make(chan error)
		s := setup(t, func(c *Config) { c.HookTimeout = 300 * time.Millisecond }, func(ctx context.Context, _ Push) []string {
			<-leave
			left <- ctx.Err()
			return nil
		})
		c := work(t, s.create(t, "web"))
		out := c.git("push", "origin", "main")
		wantContains(t, out, "remote: towline: the push is stored, but the server could not be told of it: no answer within 300ms", "nothing is lost")
		heads := must[map[string]string](t)(s.Heads(t.Context(), "web"))
		if diff := cmp.Diff(map[string]string{"main": c.git("rev-parse", "HEAD")}, heads); diff != "" {
			t.Errorf("heads (-want +got):\n%s", diff)
		}
		// The server's work goes on when the pusher has gone.
		close(leave)
		if err := <-left; err != nil {
			t.Errorf("the work was broken off: %v", err)
		}
	})

	t.Run("a server that has stopped listening is named", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantContains(t, c.git("push", "origin", "main"), "could not be told of it: it is not running or is stopping")
	})

	t.Run("a push by path says that it passed the server by", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		s.create(t, "web")
		c := work(t, s.Path("web"))
		c.git("push", "origin", "main")
		heads := must[map[string]string](t)(s.Heads(t.Context(), "web"))
		if heads["main"] != c.git("rev-parse", "HEAD") {
			t.Errorf("heads are %v", heads)
		}
	})

	t.Run("a pusher who leaves before the answer is heard of", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		s.create(t, "web")
		deaf := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, receivePack) {
				w = &deafWriter{w}
			}
			s.Handler().ServeHTTP(w, req)
		}))
		c := work(t, deaf+Prefix+"web.git")
		c.refused("push", "origin", "main")
		if got := s.pushed(t).Updates[0].New; got != c.git("rev-parse", "HEAD") {
			t.Errorf("told of %s", got)
		}
	})

	t.Run("a push that is cut off half-way changes nothing", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		s.create(t, "web")
		cut := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, receivePack) {
				req.Body = &cutBody{req.Body, 1000}
				req.ContentLength = -1
			}
			s.Handler().ServeHTTP(w, req)
		}))
		c := work(t, cut+Prefix+"web.git")
		noise := make([]byte, 20_000)
		_, _ = rand.Read(noise)
		c.commit("noise", string(noise), "Make it long")
		c.refused("push", "origin", "main")
		if heads := must[map[string]string](t)(s.Heads(t.Context(), "web")); len(heads) > 0 {
			t.Errorf("heads are %v", heads)
		}
		if len(s.pushes) > 0 {
			t.Error("the server was told of a push that failed")
		}
	})
}

// deafWriter is a connection whose client has gone.
type deafWriter struct{ http.ResponseWriter }

func (d *deafWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// cutBody is a body whose connection breaks.
type cutBody struct {
	io.ReadCloser
	left int
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func TestConcurrentPushes(t *testing.T) {
	t.Parallel()
	const pushers = 8
	var calls, inside atomic.Int32
	s := setup(t, nil, func(context.Context, Push) []string {
		if inside.Add(1) > 1 {
			t.Error("two answers for one repository at a time")
		}
		defer inside.Add(-1)
		calls.Add(1)
		return nil
	})
	url := s.create(t, "web")
	base := work(t, url)
	base.git("push", "origin", "main")
	calls.Store(0)
	var clients []*client
	for i := range pushers {
		c := clone(t, url)
		c.commit(fmt.Sprint("file", i), "x", "Add a file")
		clients = append(clients, c)
	}
	var wg sync.WaitGroup
	var won atomic.Int32
	for i, c := range clients {
		wg.Go(func() {
			if out, err := c.try("push", "origin", fmt.Sprint("HEAD:refs/heads/branch", i)); err != nil {
				t.Errorf("push: %v\n%s", err, out)
			}
			if _, err := c.try("push", "origin", "HEAD:refs/heads/main"); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of %d pushes of unrelated commits to main were accepted, want 1", won.Load(), pushers)
	}
	if got := calls.Load(); got != pushers+1 {
		t.Errorf("told of %d pushes, want %d", got, pushers+1)
	}
	if heads := must[map[string]string](t)(s.Heads(t.Context(), "web")); len(heads) != pushers+1 {
		t.Errorf("there are %d branches, want %d", len(heads), pushers+1)
	}
}

func TestAnswersForOneRepositoryComeOneAtATime(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	var inside, calls atomic.Int32
	s := setup(t, nil, func(context.Context, Push) []string {
		if inside.Add(1) > 1 {
			t.Error("two answers for one repository at a time")
		}
		defer inside.Add(-1)
		calls.Add(1)
		<-leave
		return nil
	})
	end := sync.OnceFunc(func() { close(leave) })
	t.Cleanup(end)
	c := work(t, s.create(t, "web"))
	var wg sync.WaitGroup
	for _, branch := range []string{"one", "two"} {
		wg.Go(func() {
			if out, err := c.try("push", "origin", "main:"+branch); err != nil {
				t.Errorf("push: %v\n%s", err, out)
			}
		})
	}
	waittest.Until(t, "both pushes to be told", func() bool {
		s.inOrder.mu.Lock()
		defer s.inOrder.mu.Unlock()
		l := s.inOrder.locks["web"]
		return l != nil && l.users == 2
	})
	end()
	wg.Wait()
	if calls.Load() != 2 {
		t.Errorf("%d answers", calls.Load())
	}
}

func TestAnOvertakenPushIsToldAsTheBranchStands(t *testing.T) {
	t.Parallel()
	zero, one, two := "", strings.Repeat("1", 40), strings.Repeat("2", 40)
	updates := []Update{
		{Ref: "refs/heads/main", Old: zero, New: one},
		{Ref: "refs/heads/gone", Old: zero, New: one},
		{Ref: "refs/heads/back", Old: one, New: zero},
		{Ref: "refs/tags/v1", Old: zero, New: one},
	}
	want := []Update{
		{Ref: "refs/heads/main", Old: zero, New: two},
		{Ref: "refs/heads/gone", Old: zero, New: zero},
		{Ref: "refs/heads/back", Old: one, New: two},
		{Ref: "refs/tags/v1", Old: zero, New: one},
	}
	if diff := cmp.Diff(want, standing(updates, map[string]string{"main": two, "back": two})); diff != "" {
		t.Errorf("updates (-want +got):\n%s", diff)
	}

	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	late := Push{Repository: "web", Updates: []Update{{Ref: "refs/heads/main", New: c.git("rev-parse", "HEAD")}}}
	newest := c.commit("README", "hi\n", "Overtake")
	c.git("push", "origin", "main")
	s.pushed(t)
	body := must[[]byte](t)(json.Marshal(late))
	must[[]string](t)(post(t.Context(), s.life.socketPath(), body))
	if got := s.pushed(t).Updates[0].New; got != newest {
		t.Errorf("told of %s, want %s", got, newest)
	}
}

func TestPushLimits(t *testing.T) {
	t.Parallel()

	t.Run("a push beyond the limit is refused with git's words", func(t *testing.T) {
		t.Parallel()
		s := setup(t, func(c *Config) { c.MaxPush = 1 << 20 }, nil)
		c := work(t, s.create(t, "web"))
		noise := make([]byte, 30<<20)
		_, _ = rand.Read(noise)
		c.commit("noise", string(noise), "Make it large")
		wantContains(t, c.refused("push", "origin", "main"), "pack exceeds maximum allowed size")
		if heads := must[map[string]string](t)(s.Heads(t.Context(), "web")); len(heads) > 0 {
			t.Errorf("heads are %v", heads)
		}
	})

	t.Run("an object that git fsck refuses is refused", func(t *testing.T) {
		t.Parallel()
		s := setup(t, nil, nil)
		c := work(t, s.create(t, "web"))
		blob := c.object("blob", "gitdir: elsewhere\n")
		raw := make([]byte, len(blob)/2)
		for i := range raw {
			_, _ = fmt.Sscanf(blob[2*i:2*i+2], "%02x", &raw[i])
		}
		tree := c.object("tree", "100644 .git\x00"+string(raw))
		commit := c.object("commit", "tree "+tree+"\nauthor A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n\nBad\n")
		wantContains(t, c.refused("push", "origin", commit+":refs/heads/main"), "hasDotgit")
	})
}
