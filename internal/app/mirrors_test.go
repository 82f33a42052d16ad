package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/waittest"
)

// serving is an app that is started, on a port of its own.
func serving(t *testing.T) (*App, *client.Client) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	a, err := Open(t.Context(), Options{
		Server: config.Server{Data: data, Listen: []string{"127.0.0.1:0"}}, Executable: "/bin/true", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, a)
	return a, client.New(a.URL(), a.tokens.Admin)
}

// serve starts an app, until the end of the test.
func serve(t *testing.T, a *App) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestAWebhookOfAMirrorStartsItsPipeline takes one server as the forge of
// another: pushes to it are told by webhooks as GitHub sends them.
func TestAWebhookOfAMirrorStartsItsPipeline(t *testing.T) {
	t.Parallel()
	remote, _ := serving(t)
	here, api := serving(t)
	if err := remote.repositories.Create(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := strings.Replace(remote.URL(), "http://", "http://git:"+remote.tokens.Admin+"@", 1) + "/git/web.git"
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(filepath.Join(dir, "towline.yaml"), []byte(definitionText), 0o600); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "First")
	git("push", "-q", address, "main")

	told := make(chan string, 100)
	statuses := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintln(w, "{}")
	}))
	defer statuses.Close()
	here.mirrors.transport = statuses.Client().Transport

	request := client.MirrorRequest{Name: "acme-web", URL: remote.URL() + "/git/web.git", Forge: "github", Password: "wrong", Interval: "24h", StatusToken: "t0ken", StatusAPI: statuses.URL}
	if _, err := api.AddMirror(t.Context(), request); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	request.Password = remote.tokens.Admin
	mirror, err := api.AddMirror(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	started := func(id string) pipeline.Execution {
		t.Helper()
		var e pipeline.Execution
		waittest.Until(t, id+" has started", func() bool {
			found, err := here.store.Execution(t.Context(), id)
			e = found
			return err == nil
		})
		return e
	}
	if got := started("web-1").Revision; got.Commit != git("rev-parse", "HEAD") || got.Repository != "acme-web" {
		t.Errorf("the first revision is %+v", got)
	}

	send := func(event, delivery, secret, body string) (int, string) {
		t.Helper()
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, mirror.Webhook, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Github-Event", event)
		r.Header.Set("X-Github-Delivery", delivery)
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	git("commit", "-q", "--allow-empty", "-m", "Second")
	git("push", "-q", address, "main")
	second := git("rev-parse", "HEAD")
	push := fmt.Sprintf(`{"ref":"refs/heads/main","before":%q,"after":%q,"repository":{"full_name":"acme/web"},"sender":{"id":583231}}`, git("rev-parse", "HEAD~1"), second)
	if status, _ := send("push", "d1", "not the secret", push); status != http.StatusUnauthorized {
		t.Errorf("a wrong signature is answered with %d", status)
	}
	if status, text := send("push", "d1", mirror.Secret, push); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if got := started("web-2"); got.Revision.Commit != second || got.Trigger.Source == nil || got.Trigger.Source.Actor != "583231" {
		t.Errorf("the second revision is %s, by %+v", got.Revision.Commit, got.Trigger)
	}
	if status, text := send("push", "d1", mirror.Secret, push); status != http.StatusOK || !strings.Contains(text, "taken before") {
		t.Errorf("the same message again: %d %s", status, text)
	}

	definition, err := here.store.Pipeline(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	definition.Pipeline.On.PullRequest = []pipeline.PullRequestFilter{{Branches: &pipeline.Globs{Includes: []string{"main"}}}}
	err = here.store.Update(t.Context(), func(q store.Querier) error {
		return store.PutPipeline(t.Context(), q, definition.Pipeline, "acme-web", time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	git("checkout", "-q", "-b", "change")
	git("commit", "-q", "--allow-empty", "-m", "Third")
	git("push", "-q", address, "HEAD:refs/pull/7/head")
	for i, fork := range []bool{true, false} {
		head := "acme/web"
		if fork {
			head = "mallory/web"
		}
		body := fmt.Sprintf(`{"action":"opened","number":7,"repository":{"full_name":"acme/web"},"pull_request":{"number":7,"title":"Third","updated_at":"2026-01-0%dT00:00:00Z",
			"head":{"ref":"change","sha":%q,"repo":{"full_name":%q}},"base":{"ref":"main","repo":{"full_name":"acme/web"}}}}`, i+1, git("rev-parse", "HEAD"), head)
		if status, text := send("pull_request", fmt.Sprint("p", i), mirror.Secret, body); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	if got := started("web-3"); got.Revision.Commit != git("rev-parse", "HEAD") || got.Trigger.Type != pipeline.TriggerWebhook {
		t.Errorf("the pull request started %+v", got)
	}
	if _, err := here.store.Execution(t.Context(), "web-4"); err == nil {
		t.Error("a pull request out of another repository started an execution")
	}
	wanted := []string{"web-1 runs", "web-2 runs", "web-3 runs"}
	waittest.Until(t, "the forge knows of all of them", func() bool {
		for len(told) > 0 {
			one := <-told
			if !strings.HasPrefix(one, "/repos/git/web/statuses/") || !strings.Contains(one, "t0ken") || !strings.Contains(one, `"context":"towline/web"`) {
				t.Errorf("told %s", one)
			}
			wanted = slices.DeleteFunc(wanted, func(w string) bool {
				return strings.Contains(one, w) || strings.Contains(one, strings.Replace(w, "runs", "", 1))
			})
		}
		return len(wanted) == 0
	})
	found, err := api.Mirrors(t.Context())
	if err != nil || len(found) != 1 || found[0].Looked.Before(time.Now().Add(-time.Hour)) || found[0].Error != "" {
		t.Errorf("mirrors %+v, %v", found, err)
	}
}
