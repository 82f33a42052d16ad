package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const token = "s3cr3t-t0ken"

// asked is one request that a forge was sent.
type asked struct {
	Method, Path, Auth string
	Body               map[string]string
}

// played is a forge's API that answers with the given answers in order, and
// with the last one for ever.
type played struct {
	url     string
	mu      sync.Mutex
	asked   []asked
	answers []func(w http.ResponseWriter, req *http.Request)
}

func play(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) *played {
	t.Helper()
	p := &played{answers: answers}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a := asked{Method: req.Method, Path: req.URL.EscapedPath()}
		for _, name := range []string{"Authorization", "PRIVATE-TOKEN"} {
			if v := req.Header.Get(name); v != "" {
				a.Auth = name + ": " + v
			}
		}
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = json.Unmarshal(body, &a.Body)
		}
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		answer := p.answers[min(len(p.asked), len(p.answers)-1)]
		p.asked = append(p.asked, a)
		answer(w, req)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func status(code int, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, `{"message": "words of the forge about `+token+`"}`)
	}
}

// reporter reports to p, notes its waits and does not wait.
func reporter(t *testing.T, p *played, edit func(*ReporterConfig)) (*Reporter, *[]time.Duration) {
	t.Helper()
	waits := &[]time.Duration{}
	cfg := ReporterConfig{Forge: GitHub, API: p.url, Repository: "acme/web", Token: token, Plain: true, Now: at(noon),
		Wait: func(_ context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			return nil
		}}
	if edit != nil {
		edit(&cfg)
	}
	r, err := NewReporter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, waits
}

var running = Status{
	Commit: newCommit, State: Running, Name: "towline/web", Description: "Deploy is running",
	URL: "https://towline.example.com/web/2", Branch: "main",
}

func TestReportSpeaksToEachForge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind       Kind
		repository string
		username   string
		states     string // of Pending, Running, Succeeded, Failed, Stopped
		want       asked
	}{
		{GitHub, "acme/web", "", "pending pending success failure error", asked{Path: "/repos/acme/web/statuses/" + newCommit,
			Auth: "Authorization: Bearer " + token, Body: map[string]string{
				"state": "pending", "context": "towline/web", "description": "Deploy is running", "target_url": running.URL}}},
		{Gitea, "acme/web", "", "pending pending success failure warning", asked{Path: "/repos/acme/web/statuses/" + newCommit,
			Auth: "Authorization: token " + token, Body: map[string]string{
				"state": "pending", "context": "towline/web", "description": "Deploy is running", "target_url": running.URL}}},
		{GitLab, "acme/shop/web", "", "pending running success failed canceled", asked{Path: "/projects/acme%2Fshop%2Fweb/statuses/" + newCommit,
			Auth: "PRIVATE-TOKEN: " + token, Body: map[string]string{
				"state": "running", "name": "towline/web", "description": "Deploy is running", "target_url": running.URL, "ref": "main"}}},
		{Bitbucket, "acme/web", "", "INPROGRESS INPROGRESS SUCCESSFUL FAILED STOPPED", asked{Path: "/repositories/acme/web/commit/" + newCommit + "/statuses/build",
			Auth: "Authorization: Bearer " + token, Body: map[string]string{
				"state": "INPROGRESS", "key": "towline/web", "name": "towline/web", "description": "Deploy is running", "url": running.URL, "refname": "main"}}},
		{Bitbucket, "acme/web", "ada", "INPROGRESS INPROGRESS SUCCESSFUL FAILED STOPPED", asked{Path: "/repositories/acme/web/commit/" + newCommit + "/statuses/build",
			Auth: "Authorization: Basic YWRhOnMzY3IzdC10MGtlbg==", Body: map[string]string{
				"state": "INPROGRESS", "key": "towline/web", "name": "towline/web", "description": "Deploy is running", "url": running.URL, "refname": "main"}}},
	} {
		t.Run(string(tt.kind)+" "+tt.username, func(t *testing.T) {
			t.Parallel()
			p := play(t, status(http.StatusCreated))
			r, _ := reporter(t, p, func(c *ReporterConfig) { c.Forge, c.Repository, c.Username = tt.kind, tt.repository, tt.username })
			if err := r.Report(t.Context(), running); err != nil {
				t.Fatal(err)
			}
			tt.want.Method = http.MethodPost
			if diff := cmp.Diff([]asked{tt.want}, p.asked); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var states []string
			for _, s := range []State{Pending, Running, Succeeded, Failed, Stopped} {
				one := running
				one.State = s
				if err := r.Report(t.Context(), one); err != nil {
					t.Fatal(err)
				}
				states = append(states, p.asked[len(p.asked)-1].Body["state"])
			}
			if got := strings.Join(states, " "); got != tt.states {
				t.Errorf("states %q, want %q", got, tt.states)
			}
		})
	}
}

func TestReportTriesAgain(t *testing.T) {
	t.Parallel()
	t.Run("after faults of the forge, longer each time", func(t *testing.T) {
		t.Parallel()
		p := play(t, status(500), status(502), status(503), status(201))
		r, waits := reporter(t, p, nil)
		if err := r.Report(t.Context(), running); err != nil {
			t.Fatal(err)
		}
		for i, d := range *waits {
			if backoff := firstBackoff << i; d < backoff/2 || d >= 3*backoff/2 {
				t.Errorf("wait %d is %v", i+1, d)
			}
		}
		if len(*waits) != 3 {
			t.Errorf("waited %v", *waits)
		}
	})
	t.Run("not before the forge wants it", func(t *testing.T) {
		t.Parallel()
		reset := strconv.FormatInt(noon.Add(9*time.Second).Unix(), 10)
		p := play(t, status(429, "Retry-After", "7"),
			status(403, "Retry-After", noon.Add(8*time.Second).Format(http.TimeFormat)),
			status(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), status(201))
		r, waits := reporter(t, p, nil)
		if err := r.Report(t.Context(), running); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]time.Duration{7 * time.Second, 8 * time.Second, 9 * time.Second}, *waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
	})
	t.Run("not when the wait is longer than it has patience", func(t *testing.T) {
		t.Parallel()
		p := play(t, status(429, "Retry-After", "3600"))
		r, _ := reporter(t, p, nil)
		failed, ok := errors.AsType[*ReportError](r.Report(t.Context(), running))
		if !ok || !failed.Later || failed.RetryAfter != time.Hour || len(p.asked) != 1 {
			t.Errorf("%+v after %d tries", failed, len(p.asked))
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		t.Parallel()
		p := play(t, status(500))
		r, _ := reporter(t, p, nil)
		if err := r.Report(t.Context(), running); err == nil || len(p.asked) != maxTries {
			t.Errorf("%v after %d tries", err, len(p.asked))
		}
	})
	t.Run("not when the answer will stay the same", func(t *testing.T) {
		t.Parallel()
		for _, code := range []int{400, 401, 403, 404, 422} {
			p := play(t, status(code))
			r, _ := reporter(t, p, nil)
			failed, ok := errors.AsType[*ReportError](r.Report(t.Context(), running))
			if !ok || failed.Later || failed.Status != code || len(p.asked) != 1 {
				t.Errorf("%d: %+v after %d tries", code, failed, len(p.asked))
			}
			if text := failed.Error(); strings.Contains(text, token) || !strings.Contains(text, "words of the forge about [token]") {
				t.Errorf("%d: error %q", code, text)
			}
		}
	})
	t.Run("when nobody is there", func(t *testing.T) {
		t.Parallel()
		r, waits := reporter(t, &played{url: "http://127.0.0.1:1"}, nil)
		failed, ok := errors.AsType[*ReportError](r.Report(t.Context(), running))
		if !ok || !failed.Later || failed.Status != 0 || len(*waits) != maxTries-1 || strings.Contains(failed.Error(), token) {
			t.Errorf("%v after %d waits", failed, len(*waits))
		}
	})
	t.Run("until the context ends", func(t *testing.T) {
		t.Parallel()
		p := play(t, status(500))
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := reporter(t, p, func(c *ReporterConfig) {
			c.Wait = func(ctx context.Context, _ time.Duration) error {
				cancel()
				return ctx.Err()
			}
		})
		if err := r.Report(ctx, running); err == nil || len(p.asked) != 1 {
			t.Errorf("%v after %d tries", err, len(p.asked))
		}
	})
}

func TestGitLabStatusThatStaysIsNoError(t *testing.T) {
	t.Parallel()
	answer := func(from string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"message":"Cannot transition status via :run from :`+from+` (Reason(s): Status cannot transition via \"run\")"}`)
		}
	}
	p := play(t, answer("running"), answer("success"))
	r, _ := reporter(t, p, func(c *ReporterConfig) { c.Forge = GitLab })
	if err := r.Report(t.Context(), running); err != nil {
		t.Error(err)
	}
	if err := r.Report(t.Context(), running); err == nil {
		t.Error("a status that went back was taken for one that stays")
	}
}

func TestTheTokenStaysWithItsHost(t *testing.T) {
	t.Parallel()
	other := play(t, status(201))
	redirect := func(code int, to string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, to, code) }
	}
	for _, kind := range []Kind{GitHub, GitLab} {
		p := play(t, redirect(http.StatusTemporaryRedirect, other.url+"/x"))
		r, _ := reporter(t, p, func(c *ReporterConfig) { c.Forge = kind })
		if err := r.Report(t.Context(), running); err == nil || !strings.Contains(err.Error(), "another host") || len(other.asked) != 0 {
			t.Errorf("%s: %v, and the other host was asked %d times", kind, err, len(other.asked))
		}
	}
	t.Run("a user name is for Bitbucket alone", func(t *testing.T) {
		t.Parallel()
		for kind, want := range map[Kind]string{
			GitHub: "Authorization: Bearer " + token, GitLab: "Private-Token: " + token, Gitea: "Authorization: token " + token,
		} {
			p := play(t, status(201))
			r, _ := reporter(t, p, func(c *ReporterConfig) { c.Forge, c.Username = kind, "ada" })
			if err := r.Report(t.Context(), running); err != nil || !strings.EqualFold(p.asked[0].Auth, want) {
				t.Errorf("%s: %v, %s", kind, err, p.asked[0].Auth)
			}
		}
		p := play(t, status(201))
		r, _ := reporter(t, p, func(c *ReporterConfig) { c.Forge, c.Username = Bitbucket, "x-token-auth" })
		if err := r.Report(t.Context(), running); err != nil || p.asked[0].Auth != "Authorization: Bearer "+token {
			t.Errorf("%v, %s", err, p.asked[0].Auth)
		}
	})
	t.Run("a repository that was renamed is followed", func(t *testing.T) {
		t.Parallel()
		p := play(t, redirect(http.StatusPermanentRedirect, "/repositories/1/statuses/"+newCommit), status(201))
		r, _ := reporter(t, p, nil)
		if err := r.Report(t.Context(), running); err != nil || len(p.asked) != 2 || p.asked[1].Body["state"] != "pending" || !strings.Contains(p.asked[1].Auth, token) {
			t.Errorf("%v, %+v", err, p.asked)
		}
	})
	t.Run("a redirect that would turn the report into a question is not", func(t *testing.T) {
		t.Parallel()
		p := play(t, redirect(http.StatusFound, "/x"))
		r, _ := reporter(t, p, nil)
		if err := r.Report(t.Context(), running); err == nil {
			t.Error("it was taken")
		}
	})
}

func TestReporterRefuses(t *testing.T) {
	t.Parallel()
	good := ReporterConfig{Forge: GitHub, API: "https://api.github.com", Repository: "acme/web", Token: token}
	for name, edit := range map[string]func(*ReporterConfig){
		"an address without TLS":         func(c *ReporterConfig) { c.API = "http://api.github.com" },
		"an address of another kind":     func(c *ReporterConfig) { c.API, c.Plain = "file:///etc", true },
		"a password in the address":      func(c *ReporterConfig) { c.API = "https://u:" + token + "@api.github.com" },
		"a repository that leads out":    func(c *ReporterConfig) { c.Repository = "acme/.." },
		"a token with a line break":      func(c *ReporterConfig) { c.Token = token + "\r\nHost: x" },
		"no token":                       func(c *ReporterConfig) { c.Token = "" },
		"a forge that nobody knows":      func(c *ReporterConfig) { c.Forge = "sourcehut" },
		"parameters in the address":      func(c *ReporterConfig) { c.API = "https://api.github.com?x=1" },
		"an address that cannot be read": func(c *ReporterConfig) { c.API = "https://" + token + "@%zz" },
	} {
		cfg := good
		edit(&cfg)
		if _, err := NewReporter(cfg); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	r, err := NewReporter(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Status){
		"a commit that is none":   func(s *Status) { s.Commit = "main" },
		"a page that is a script": func(s *Status) { s.URL = "javascript:alert(1)" },
		"a state that is none":    func(s *Status) { s.State = "odd" },
		"no name":                 func(s *Status) { s.Name = "" },
		"a branch that is none":   func(s *Status) { s.Branch = "a..b" },
	} {
		s := running
		edit(&s)
		if err := r.Report(t.Context(), s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	r, err := NewReporter(ReporterConfig{Forge: GitHub, API: "https://api.github.com", Repository: "acme/web", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	hook := Hook{Forge: GitHub, Secrets: []string{token}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", r.cfg, "hook", hook)
	for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v %s", r.cfg, r, hook, &hook)} {
		if strings.Contains(text, token) || !strings.Contains(text, "acme/web") {
			t.Error(text)
		}
	}
}

func FuzzParseRemote(f *testing.F) {
	for _, s := range []string{"https://github.com/acme/web.git", "git@h:a/b", "ssh://git@h:22/a/b", "a:b", "://", "https://u:p@h/a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		r, err := ParseRemote(address)
		if err == nil && (r.Host == "" || !isRepository(r.Repository) || slices.Contains(strings.Split(r.Repository, "/"), "..")) {
			t.Errorf("%q gives %+v", address, r)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	long := "towline/" + strings.Repeat("ü", 60)
	one, two := shortKey(long+"1"), shortKey(long+"2")
	if one == two || len([]rune(one)) > 40 || shortKey("towline/web") != "towline/web" {
		t.Errorf("keys %q and %q", one, two)
	}
	c := hubStatus("acme/web", Status{Description: strings.Repeat("ü", 200)}, nil)
	if got := []rune(c.body["description"]); len(got) != 140 {
		t.Errorf("%d characters", len(got))
	}
}

func TestParseRemote(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]Remote{
		"https://github.com/acme/web.git":             {"github.com", "acme/web"},
		"https://GitHub.com/acme/web/":                {"github.com", "acme/web"},
		"ssh://git@gitlab.com:2222/acme/shop/web.git": {"gitlab.com:2222", "acme/shop/web"},
		"git@bitbucket.org:acme/web.git":              {"bitbucket.org", "acme/web"},
		"https://codeberg.org/acme/web":               {"codeberg.org", "acme/web"},
	} {
		got, err := ParseRemote(address)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
	for _, address := range []string{"", "web", "https://github.com/web", "file:///srv/web", "https://" + token + "@%zz/a/b", "git@h:../x"} {
		if r, err := ParseRemote(address); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %+v, %v", address, r, err)
		}
	}
	for kind, want := range map[Kind]string{
		GitHub: "https://h/api/v3", GitLab: "https://h/api/v4", Gitea: "https://h/api/v1", Bitbucket: "https://api.bitbucket.org/2.0",
	} {
		if got := (Remote{Host: "h"}).API(kind); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
	for host, want := range map[string]Kind{"github.com": GitHub, "gitlab.com": GitLab, "codeberg.org": Gitea, "bitbucket.org": Bitbucket, "git.example.com": ""} {
		if got := (Remote{Host: host}).Guess(); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
}
