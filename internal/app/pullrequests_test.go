package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// forgeFarAway is another server that holds the repository web, with a pull
// request 7 into main, and that goes away when it is told to.
type forgeFarAway struct {
	request client.MirrorRequest // of acme-web
	away    atomic.Bool
	public  atomic.Bool // wants no credentials
	head    string      // of the pull request
	git     func(args ...string) string
}

func newForgeFarAway(t *testing.T) *forgeFarAway {
	t.Helper()
	remote, _ := serving(t)
	if err := remote.repositories.Create(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(remote.URL())
	if err != nil {
		t.Fatal(err)
	}
	f := &forgeFarAway{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		if f.public.Load() {
			r.SetBasicAuth("git", remote.tokens.Admin)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	dir := t.TempDir()
	f.git = func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(filepath.Join(dir, "towline.yaml"), []byte("on: {}\n"+definitionText), 0o600); err != nil {
		t.Fatal(err)
	}
	f.git("init", "-q", "-b", "main")
	f.git("remote", "add", "origin", strings.Replace(front.URL, "http://", "http://git:"+remote.tokens.Admin+"@", 1)+"/git/web.git")
	f.git("add", "-A")
	f.git("commit", "-q", "-m", "First")
	f.git("push", "-q", "origin", "main")
	f.git("commit", "-q", "--allow-empty", "-m", "Second")
	f.git("push", "-q", "origin", "HEAD:refs/pull/7/head")
	f.head = f.git("rev-parse", "HEAD")
	f.request = client.MirrorRequest{Name: "acme-web", URL: front.URL + "/git/web.git", Forge: "github", Password: remote.tokens.Admin, Interval: "24h"}
	return f
}

// tell sends what GitHub sends when the pull request is opened.
func (f *forgeFarAway) tell(t *testing.T, to *App, secret, delivery string) (int, string) {
	t.Helper()
	body := fmt.Sprintf(`{"action":"opened","number":7,"repository":{"full_name":"acme/web"},"pull_request":{"number":7,"title":%q,"updated_at":"2026-01-01T00:00:00Z",
		"head":{"ref":"change","sha":%q,"repo":{"full_name":"acme/web"}},"base":{"ref":"main","repo":{"full_name":"acme/web"}}}}`, delivery, f.head)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/acme-web", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Github-Event", "pull_request")
	r.Header.Set("X-Github-Delivery", delivery)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{name}", to.hooks())
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, r)
	return answer.Code, strings.TrimSpace(answer.Body.String())
}

// watchingPullRequests defines a pipeline of the mirror that cannot start, for a
// variable has no value, and pipelines of the API beside it.
func watchingPullRequests(t *testing.T, a *App) {
	t.Helper()
	into := func(branch, action string) pipeline.On {
		return pipeline.On{PullRequest: []pipeline.PullRequestFilter{{Source: action, Branches: &pipeline.Globs{Includes: []string{branch}}}}}
	}
	defined := func(name, repository string, on pipeline.On) pipeline.Pipeline {
		return pipeline.Pipeline{Name: name, On: on, Stages: []pipeline.Stage{
			{Name: "Source", Actions: []pipeline.Action{{
				Name: "push", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategorySource, Owner: "AWS", Provider: "CodeStarSourceConnection"},
				Configuration: fmt.Appendf(nil, `{"FullRepositoryId":%q,"BranchName":"main"}`, repository),
			}}},
			{Name: "Go", Actions: []pipeline.Action{{Name: "go", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}}}},
		}}
	}
	web := defined("web", "acme/web", into("main", ""))
	web.Variables = []pipeline.Variable{{Name: "ticket"}}
	err := a.store.Update(t.Context(), func(q store.Querier) error {
		if err := store.PutPipeline(t.Context(), q, web, "acme-web", time.Now()); err != nil {
			return err
		}
		for _, p := range []pipeline.Pipeline{
			defined("checks", "acme/web", into("main", "push")),
			defined("another-action", "acme/web", into("main", "pull")),
			defined("another-branch", "acme/web", into("release", "")),
			defined("another-repository", "acme/shop", into("main", "")),
		} {
			if err := store.PutPipeline(t.Context(), q, p, "", time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ids are those of all executions that have not ended.
func ids(t *testing.T, a *App) (all []string) {
	t.Helper()
	found, err := a.store.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		all = append(all, e.ID)
	}
	slices.Sort(all)
	return all
}

// TestAPullRequestThatWasTakenSurvivesTheServer loses the server after it has
// taken a message, and before it has started anything: the remote is away.
func TestAPullRequestThatWasTakenSurvivesTheServer(t *testing.T) {
	t.Parallel()
	far := newForgeFarAway(t)
	options := Options{
		Server: config.Server{Data: filepath.Join(t.TempDir(), "data"), Listen: []string{"127.0.0.1:0"}}, Executable: "/bin/true", Logger: slog.New(slog.DiscardHandler),
	}
	first, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := first.mirrors.Add(t.Context(), far.request)
	if err != nil {
		t.Fatal(err)
	}
	watchingPullRequests(t, first)
	far.away.Store(true)
	if status, text := far.tell(t, first, mirror.Secret, "d1"); status != http.StatusOK || text != "taken" {
		t.Errorf("while the remote is away the answer is %d %s", status, text)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	far.away.Store(false)

	// A process that another test has just forked may hold the lock for a moment.
	var a *App
	waittest.Until(t, "the data directory can be opened again", func() bool {
		a, err = Open(t.Context(), options)
		return err == nil
	})
	serve(t, a)
	var e pipeline.Execution
	waittest.Until(t, "checks-1 has started", func() bool {
		e, err = a.store.Execution(t.Context(), "checks-1")
		return err == nil
	})
	want := pipeline.Trigger{Type: pipeline.TriggerWebhook, Detail: "pull request 7: OPEN", Source: &pipeline.SourceChange{
		Event: pipeline.ChangeOpened, Head: "refs/heads/change", Base: "refs/heads/main", Request: 7,
	}}
	if diff := cmp.Diff(want, e.Trigger); diff != "" || e.Revision.Commit != far.head || e.Revision.Branch != "change" {
		t.Errorf("revision %+v, trigger (-want +got):\n%s", e.Revision, diff)
	}
	// That web could not start leads to nothing that starts checks twice.
	if status, text := far.tell(t, a, mirror.Secret, "d1"); status != http.StatusOK || !strings.Contains(text, "taken before") {
		t.Errorf("the same message again: %d %s", status, text)
	}
	a.readMessages(t.Context(), "acme-web")
	if diff := cmp.Diff([]string{"checks-1"}, ids(t, a)); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
}

func TestAPullRequestIsTriedAgainUntilThereIsNoHope(t *testing.T) {
	t.Parallel()
	far := newForgeFarAway(t)
	a, _ := setup(t)
	now := time.Now()
	a.mirrors.now = func() time.Time { return now }
	mirror, err := a.mirrors.Add(t.Context(), far.request)
	if err != nil {
		t.Fatal(err)
	}
	watchingPullRequests(t, a)
	waiting := func() int {
		t.Helper()
		found, err := a.store.DueMessages(t.Context(), "acme-web", now.AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	far.away.Store(true)
	far.tell(t, a, mirror.Secret, "d1")
	now = now.Add(time.Second)
	a.readMessages(t.Context(), "acme-web")
	far.away.Store(false)
	a.readMessages(t.Context(), "acme-web")
	if found := ids(t, a); len(found) != 0 || waiting() != 1 {
		t.Errorf("at once, without a pause, %v have started, and %d messages wait", found, waiting())
	}
	now = now.Add(messagesPause)
	a.readMessages(t.Context(), "acme-web")
	if diff := cmp.Diff([]string{"checks-1"}, ids(t, a)); diff != "" || waiting() != 0 {
		t.Errorf("once the remote is back %d messages wait, and executions are (-want +got):\n%s", waiting(), diff)
	}

	far.git("push", "-q", "origin", ":refs/pull/7/head")
	far.tell(t, a, mirror.Secret, "d2")
	now = now.Add(time.Second)
	a.readMessages(t.Context(), "acme-web")
	if waiting() != 0 {
		t.Error("a pull request whose head is gone is waited for")
	}

	far.away.Store(true)
	far.tell(t, a, mirror.Secret, "d3")
	for range 100 {
		now = now.Add(time.Hour)
		a.readMessages(t.Context(), "acme-web")
	}
	if waiting() != 0 || len(ids(t, a)) != 1 {
		t.Errorf("after days %d messages wait, %v have started", waiting(), ids(t, a))
	}
}
