package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/registry"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/source"
)

// patience bounds every wait.
const patience = 30 * time.Second

var tokens = config.Tokens{Admin: "the-admin-token", Pull: "the-pull-token"}

// bundle is a server with all that is behind it, whose actions are act.
type bundle struct {
	url    string
	api    *client.Client
	engine *engine.Engine
	stop   func() error // at the end of the test, if not before
}

func setup(t *testing.T, act enginetest.ActionFunc) bundle {
	t.Helper()
	return setupWith(t, act, nil)
}

func setupWith(t *testing.T, act enginetest.ActionFunc, clusters server.Clusters) bundle {
	t.Helper()
	dir := t.TempDir()
	settings := enginetest.Config(t, dir, act)
	settings.OpenLog = func(path string) (io.WriteCloser, error) { return report.OpenLog(path) }
	e, err := engine.New(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	repositories, err := source.New(t.Context(), source.Config{Dir: filepath.Join(dir, "git"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	images, err := registry.New(registry.Config{Dir: filepath.Join(dir, "registry"), Authorize: server.RegistryAccess(tokens)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{
		Listen: []string{"127.0.0.1:0"}, Engine: e, Store: settings.Store, Repositories: repositories, Registry: images,
		Clusters: clusters, AccessKeys: fakeAccessKeys{}, SignIns: &visitors{}, Secrets: fakeSecrets{}, Notifications: notifier(t, dir, settings.Store), AWS: http.HandlerFunc(teapot), Hooks: http.HandlerFunc(teapot), Tokens: tokens, Version: "1.2.3", Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s.Start(serving)
	stop := sync.OnceValue(func() error {
		cancel()
		ctx, done := context.WithTimeout(context.Background(), patience)
		defer done()
		return errors.Join(s.Stop(ctx), e.Stop(patience), images.Close())
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	url := config.URL(s.Address())
	return bundle{url: url, api: client.New(url, tokens.Admin), engine: e, stop: stop}
}

// teapot stands for what answers AWS's clients.
func teapot(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

func succeed(context.Context, pipeline.Job) (pipeline.Result, error) {
	return pipeline.Result{Outcome: pipeline.Succeeded}, nil
}

func status(t *testing.T, method, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.SetBasicAuth("anybody", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	if _, err := b.api.CreateRepository(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	const git = "/git/web.git/info/refs?service=git-receive-pack"
	for name, c := range map[string]struct {
		method, path, token string
		want                int
	}{
		"anybody asks for health":              {"GET", "/healthz", "", 200},
		"nobody else reads the API":            {"GET", "/api/v1/pipelines", "", 401},
		"a wrong token is refused":             {"GET", "/api/v1/pipelines", "the-admin-toke", 401},
		"a longer token is refused":            {"GET", "/api/v1/pipelines", "the-admin-tokens", 401},
		"the pull token does not read the API": {"GET", "/api/v1/pipelines", tokens.Pull, 401},
		"the admin reads the API":              {"GET", "/api/v1/pipelines", tokens.Admin, 200},
		"the API describes itself":             {"GET", "/api/v1/openapi.json", tokens.Admin, 200},
		"nobody else pushes":                   {"GET", git, "", 401},
		"the pull token does not push":         {"GET", git, tokens.Pull, 401},
		"the admin pushes":                     {"GET", git, tokens.Admin, 200},
		"nobody else pulls images":             {"GET", "/v2/", "", 401},
		"the pull token pulls images":          {"GET", "/v2/", tokens.Pull, 200},
		"the pull token pushes no images":      {"POST", "/v2/web/blobs/uploads/", tokens.Pull, 403},
		"the admin pushes images":              {"POST", "/v2/web/blobs/uploads/", tokens.Admin, 202},
		"what is not there is not found":       {"GET", "/nowhere", tokens.Admin, 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := status(t, c.method, b.url+c.path, c.token); got != c.want {
				t.Errorf("%s %s = %d, want %d", c.method, c.path, got, c.want)
			}
		})
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	for want, call := range map[string]func() error{
		"404 pipeline nope: not found":                  func() error { _, err := b.api.Pipeline(t.Context(), "nope"); return err },
		"404 execution nope-1: not found":               func() error { _, err := b.api.Execution(t.Context(), "nope-1"); return err },
		`422 "../x" cannot be the name of a repository`: func() error { _, err := b.api.CreateRepository(t.Context(), "../x"); return err },
		"401 the token is missing or wrong": func() error {
			_, err := client.New(b.url, "x").Pipelines(t.Context())
			return err
		},
		"0 no server answers at http://127.0.0.1:1": func() error {
			_, err := client.New("http://127.0.0.1:1", "x").Pipelines(t.Context())
			return err
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var answer *client.Error
			if err := call(); !errors.As(err, &answer) || !strings.Contains(fmt.Sprint(answer.Status, " ", answer.Message), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestFollowShowsAnExecutionAndItsLogToTheEnd watches an execution whose action
// prints, waits and prints again.
func TestFollowShowsAnExecutionAndItsLogToTheEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := setup(t, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		fmt.Fprintln(job.Log, "one")
		job.Progress("half way")
		<-release
		fmt.Fprintln(job.Log, "two")
		return pipeline.Result{Outcome: pipeline.Succeeded, Summary: "done"}, nil
	})
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var log bytes.Buffer
	followed := make(chan error, 1)
	go func() {
		followed <- b.api.Follow(ctx, client.ActionRef{Execution: id, Stage: "S1", Attempt: 1, Action: "a"}, &log)
	}()
	var seen []string
	err := b.api.Watch(ctx, id, func(e client.Execution) error {
		if line := e.Progress["S1/a"]; line != "" && len(seen) == 0 {
			seen = append(seen, line)
			close(release)
		}
		if e.Done() {
			seen = append(seen, e.Stages[0].Actions[0].Result.Summary)
		}
		return nil
	})
	if err := errors.Join(err, <-followed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"half way", "done"}, seen); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	var texts []string
	for line := range strings.Lines(log.String()) {
		_, text, _ := strings.Cut(line, " ")
		texts = append(texts, text)
	}
	if diff := cmp.Diff([]string{"one\n", "two\n"}, texts); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	offset := strings.Index(log.String(), "\n") + 1
	rest, err := b.api.Log(ctx, client.ActionRef{Execution: id, Stage: "S1", Attempt: 1, Action: "a"}, int64(offset), false)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	if text, err := io.ReadAll(rest); err != nil || string(text) != log.String()[offset:] {
		t.Errorf("from offset %d: %q, %v", offset, text, err)
	}
}

// TestLogIsServedByteForByte follows a log into which a process wrote a line
// without a stamp: the offsets of a reader are those of the file.
func TestLogIsServedByteForByte(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		fmt.Fprintln(job.Log, "stamped")
		f, err := os.OpenFile(job.LogFile, os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return pipeline.Result{}, err
		}
		defer f.Close()
		fmt.Fprintln(f, "bare")
		fmt.Fprintln(job.Log, "stamped again")
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	})
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	var got bytes.Buffer
	if err := b.api.Follow(t.Context(), client.ActionRef{Execution: id, Stage: "S1", Attempt: 1, Action: "a"}, &got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(b.engine.LogFile(id, "S1", 1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestStopDoesNotWaitForAClientThatDoesNotRead follows a log that is larger
// than what the connection holds and reads none of it.
func TestStopDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		for range 400 {
			fmt.Fprintln(job.Log, strings.Repeat("x", 60_000))
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	})
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	enginetest.Await(t, b.engine, id)
	log, err := b.api.Log(t.Context(), client.ActionRef{Execution: id, Stage: "S1", Attempt: 1, Action: "a"}, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	began := time.Now()
	if err := b.stop(); err != nil || time.Since(began) > patience/2 {
		t.Errorf("stopped after %s: %v", time.Since(began), err)
	}
}

func TestLogOfNoSuchActionIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	for _, ref := range []client.ActionRef{
		{Execution: id, Stage: "S1", Attempt: 1, Action: "nope"},
		{Execution: id, Stage: "../S1", Attempt: 1, Action: "a"},
		{Execution: id, Stage: "S1", Attempt: 99, Action: "a"},
		{Execution: "../" + id, Stage: "S1", Attempt: 1, Action: "a"},
	} {
		var answer *client.Error
		if _, err := b.api.Log(t.Context(), ref, 0, false); !errors.As(err, &answer) || answer.Status != http.StatusNotFound {
			t.Errorf("%+v: %v, want 404", ref, err)
		}
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	address := strings.TrimPrefix(b.url, "http://")
	_, err := server.New(server.Config{Listen: []string{address}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another program uses this port") {
		t.Errorf("got %v", err)
	}
}

func TestGitSpeaksThroughTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	r, err := b.api.CreateRepository(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "git", "-c", "http.extraHeader=Authorization: Bearer "+tokens.Admin, "ls-remote", r.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("git ls-remote %s: %v\n%s", r.URL, err, out)
	}
}
