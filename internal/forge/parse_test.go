package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/internal/pipeline"
)

const (
	secret    = "correct horse"
	oldCommit = "1a2b3c4d5e6f7081920a1b2c3d4e5f6071829304"
	newCommit = "2b3c4d5e6f7081920a1b2c3d4e5f607182930415"
	// mergeCommit is what has come of a merge.
	mergeCommit = "3c4d5e6f7081920a1b2c3d4e5f60718293041526"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func sum(key string, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// signed are the headers that the forge sends with the body.
func signed(kind Kind, event string, body []byte) http.Header {
	digits := hex.EncodeToString(sum(secret, body))
	h := http.Header{}
	h.Set("Content-Type", "application/json; charset=utf-8")
	switch kind {
	case GitHub:
		h.Set("X-Github-Event", event)
		h.Set("X-Github-Delivery", "d-1")
		h.Set("X-Hub-Signature-256", "sha256="+digits)
	case Gitea:
		for _, name := range []string{"Gitea", "Gogs", "GitHub"} {
			h.Set("X-"+name+"-Event", event)
			h.Set("X-"+name+"-Delivery", "d-1")
		}
		h.Set("X-Gitea-Signature", digits)
	case GitLab:
		h.Set("X-Gitlab-Event", event)
		h.Set("X-Gitlab-Event-Uuid", "d-1")
		h.Set("X-Gitlab-Token", secret)
	case Bitbucket:
		h.Set("X-Event-Key", event)
		h.Set("X-Request-Uuid", "d-1")
		h.Set("X-Hub-Signature", "sha256="+digits)
	}
	return h
}

func TestParse(t *testing.T) {
	t.Parallel()
	hub := Repository{Name: "acme/web", CloneURL: "https://github.com/acme/web.git"}
	tea := Repository{Name: "acme/web", CloneURL: "https://git.example.com/acme/web.git"}
	lab := Repository{Name: "acme/shop/web", CloneURL: "https://gitlab.example.com/acme/shop/web.git"}
	bucket := Repository{Name: "acme/web", CloneURL: "https://bitbucket.org/acme/web"}
	push := func(r Repository, pushes ...Push) Event {
		return Event{Type: PushEvent, Repository: r, Pushes: pushes}
	}
	pull := func(r Repository, p PullRequest) Event {
		p.Source, p.Target = "greet", "main"
		if p.Head == "" {
			p.Head = newCommit
		}
		return Event{Type: PullRequestEvent, Repository: r, PullRequest: &p}
	}
	const ada = "557058:0c5c7d4e-95a7-4d25-8b9c-5d6c1a1e1f2a" // her account in Bitbucket
	for _, tt := range []struct {
		name  string
		kind  Kind
		event string
		file  string
		want  Event
	}{
		{"a push to GitHub names the files of all commits once", GitHub, "push", "github-push",
			push(hub, Push{Ref: "refs/heads/main", Before: oldCommit, After: newCommit, Paths: []string{"greet.go", "main.go", "old/hello.go"}, Actor: "583231"})},
		{"a new tag has no commit before", GitHub, "push", "github-tag",
			push(hub, Push{Ref: "refs/tags/v1.2.0", After: newCommit})},
		{"a deleted branch has no commit after", GitHub, "push", "github-delete",
			push(hub, Push{Ref: "refs/heads/old", Before: oldCommit, Deleted: true})},
		{"GitHub's first message is a ping", GitHub, "ping", "github-ping", Event{Type: Ping}},
		{"an event that nobody acts upon is an other one", GitHub, "star", "github-ping", Event{Type: Other}},
		{"a pull request out of a fork", GitHub, "pull_request", "github-pull-opened",
			pull(hub, PullRequest{Number: 7, Event: pipeline.PullRequestOpen, Fork: true, Ref: "refs/pull/7/head", Title: "Greet in French", Actor: "583231"})},
		{"a pull request with new commits", GitHub, "pull_request", "github-pull-synchronize",
			pull(hub, PullRequest{Number: 7, Event: pipeline.PullRequestUpdated, Before: oldCommit, Ref: "refs/pull/7/head", Title: "Greet in French"})},
		{"a merged pull request", GitHub, "pull_request", "github-pull-closed",
			pull(hub, PullRequest{Number: 7, Event: pipeline.PullRequestClosed, Merged: true, Ref: "refs/pull/7/head", Title: "Greet in French", Actor: "583231", Merge: mergeCommit})},
		{"a pull request whose fork is gone is one out of a fork", GitHub, "pull_request", "github-pull-fork-gone",
			pull(hub, PullRequest{Number: 7, Event: pipeline.PullRequestClosed, Fork: true, Ref: "refs/pull/7/head", Title: "Greet in French"})},
		{"a new label changes no code", GitHub, "pull_request", "github-pull-labeled", Event{Type: Other, Repository: hub}},
		{"a push to Gitea", Gitea, "push", "gitea-push",
			push(tea, Push{Ref: "refs/heads/main", Before: oldCommit, After: newCommit, Paths: []string{"page.html"}, Actor: "12"})},
		{"a branch deleted in Gitea", Gitea, "delete", "gitea-delete", push(tea, Push{Ref: "refs/heads/old", Deleted: true})},
		{"a pull request in Gitea", Gitea, "pull_request", "gitea-pull-opened",
			pull(tea, PullRequest{Number: 3, Event: pipeline.PullRequestOpen, Ref: "refs/pull/3/head", Title: "Greet"})},
		{"a merged pull request in Gitea", Gitea, "pull_request", "gitea-pull-closed",
			pull(tea, PullRequest{Number: 3, Event: pipeline.PullRequestClosed, Merged: true, Ref: "refs/pull/3/head", Title: "Greet", Actor: "12", Merge: mergeCommit})},
		{"new commits in a pull request out of a fork in Gitea", Gitea, "pull_request", "gitea-pull-synchronized",
			pull(tea, PullRequest{Number: 3, Event: pipeline.PullRequestUpdated, Fork: true, Ref: "refs/pull/3/head", Title: "Greet"})},
		{"a push to GitLab, in a subgroup", GitLab, "Push Hook", "gitlab-push",
			push(lab, Push{Ref: "refs/heads/main", Before: oldCommit, After: newCommit, Paths: []string{"new.html", "page.html"}, Actor: "4"})},
		{"a tag of its own in GitLab", GitLab, "Tag Push Hook", "gitlab-tag", push(lab, Push{Ref: "refs/tags/v1.2.0", After: oldCommit})},
		{"a merge request", GitLab, "Merge Request Hook", "gitlab-merge-open",
			pull(lab, PullRequest{Number: 5, Event: pipeline.PullRequestOpen, Ref: "refs/merge-requests/5/head", Title: "Greet in French", Actor: "4"})},
		{"new commits in a merge request out of a fork", GitLab, "Merge Request Hook", "gitlab-merge-update",
			pull(lab, PullRequest{Number: 5, Event: pipeline.PullRequestUpdated, Before: oldCommit, Fork: true, Ref: "refs/merge-requests/5/head", Title: "Greet in French", Actor: "4"})},
		{"a merge request whose label has changed", GitLab, "Merge Request Hook", "gitlab-merge-label", Event{Type: Other, Repository: lab}},
		{"a merge request that was merged by a commit of the merge", GitLab, "Merge Request Hook", "gitlab-merge-commit",
			pull(lab, PullRequest{Number: 5, Event: pipeline.PullRequestClosed, Merged: true, Ref: "refs/merge-requests/5/head", Title: "Greet in French", Actor: "4", Merge: "4d5e6f7081920a1b2c3d4e5f60718293041526a7"})},
		{"a merge request that the branch was moved forward to", GitLab, "Merge Request Hook", "gitlab-merge-forward",
			pull(lab, PullRequest{Number: 5, Event: pipeline.PullRequestClosed, Merged: true, Ref: "refs/merge-requests/5/head", Title: "Greet in French", Actor: "4"})},
		{"a merge request that was squashed", GitLab, "Merge Request Hook", "gitlab-merge-merge",
			pull(lab, PullRequest{Number: 5, Event: pipeline.PullRequestClosed, Merged: true, Ref: "refs/merge-requests/5/head", Title: "Greet in French", Actor: "4", Merge: mergeCommit})},
		{"a comment", GitLab, "Note Hook", "gitlab-note", Event{Type: Other, Repository: lab}},
		{"Bitbucket tells several refs at once", Bitbucket, "repo:push", "bitbucket-push", push(bucket,
			Push{Ref: "refs/heads/main", Before: oldCommit, After: newCommit, Actor: ada},
			Push{Ref: "refs/tags/v1.2.0", After: newCommit, Actor: ada},
			Push{Ref: "refs/heads/old", Before: oldCommit, Deleted: true, Actor: ada})},
		{"a pull request out of a fork in Bitbucket", Bitbucket, "pullrequest:created", "bitbucket-pull-created",
			pull(bucket, PullRequest{Number: 11, Event: pipeline.PullRequestOpen, Head: newCommit[:12], Fork: true, Title: "Greet"})},
		{"an updated pull request in Bitbucket", Bitbucket, "pullrequest:updated", "bitbucket-pull-updated",
			pull(bucket, PullRequest{Number: 11, Event: pipeline.PullRequestUpdated, Head: newCommit[:12], Title: "Greet"})},
		{"a merged pull request in Bitbucket", Bitbucket, "pullrequest:fulfilled", "bitbucket-pull-fulfilled",
			pull(bucket, PullRequest{Number: 11, Event: pipeline.PullRequestClosed, Merged: true, Head: newCommit[:12], Title: "Greet", Actor: ada, Merge: mergeCommit[:12]})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := sample(t, tt.file)
			tt.want.Forge, tt.want.Delivery = tt.kind, "d-1"
			tt.want.Keys = []string{"delivery:d-1"}
			if tt.want.Type == PullRequestEvent {
				digest := sha256.Sum256(body)
				tt.want.Keys = append(tt.want.Keys, "body:"+hex.EncodeToString(digest[:]))
			}
			// Both with the forge that was agreed upon and with the one that
			// the headers tell.
			for _, agreed := range []Kind{tt.kind, ""} {
				got, err := Hook{Forge: agreed, Secrets: []string{secret}}.Parse(signed(tt.kind, tt.event, body), body)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	events := map[Kind][2]string{
		GitHub: {"push", "github-push"}, Gitea: {"push", "gitea-push"},
		GitLab: {"Push Hook", "gitlab-push"}, Bitbucket: {"repo:push", "bitbucket-push"},
	}
	signature := map[Kind]string{
		GitHub: "X-Hub-Signature-256", Gitea: "X-Gitea-Signature", GitLab: "X-Gitlab-Token", Bitbucket: "X-Hub-Signature",
	}
	for _, tt := range []struct {
		name string
		want error
		edit func(kind Kind, hook *Hook, h http.Header, body *[]byte)
	}{
		{"a message without a signature", ErrUnsigned, func(k Kind, _ *Hook, h http.Header, _ *[]byte) { h.Del(signature[k]) }},
		{"the signature of another secret", ErrUnsigned, func(_ Kind, hook *Hook, _ http.Header, _ *[]byte) { hook.Secrets = []string{"another"} }},
		{"a webhook without a secret", ErrUnsigned, func(k Kind, hook *Hook, h http.Header, body *[]byte) {
			hook.Secrets = []string{""}
			h.Set(signature[k], strings.Split(h.Get(signature[k])+"=", "=")[0]+"="+hex.EncodeToString(sum("", *body)))
		}},
		{"a signature that is no digest", ErrUnsigned, func(k Kind, _ *Hook, h http.Header, _ *[]byte) { h.Set(signature[k], "sha256=00") }},
		{"a message of no forge", ErrUnsigned, func(_ Kind, hook *Hook, h http.Header, _ *[]byte) {
			hook.Forge = ""
			for name := range h {
				if strings.Contains(name, "Event") {
					h.Del(name)
				}
			}
		}},
		{"a form", ErrInvalid, func(_ Kind, _ *Hook, h http.Header, _ *[]byte) {
			h.Set("Content-Type", "application/x-www-form-urlencoded")
		}},
		{"a delivery without a name", ErrInvalid, func(_ Kind, _ *Hook, h http.Header, _ *[]byte) {
			for name := range h {
				if strings.Contains(name, "Delivery") || strings.Contains(name, "Uuid") {
					h.Del(name)
				}
			}
		}},
		{"more than there may be", ErrTooLarge, func(_ Kind, _ *Hook, _ http.Header, body *[]byte) { *body = make([]byte, MaxBody+1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for kind, e := range events {
				body := sample(t, e[1])
				header := signed(kind, e[0], body)
				hook := Hook{Forge: kind, Secrets: []string{secret}}
				tt.edit(kind, &hook, header, &body)
				if _, err := hook.Parse(header, body); !errors.Is(err, tt.want) {
					t.Errorf("%s: error %v, want one of kind %q", kind, err, tt.want)
				} else if strings.Contains(err.Error(), secret) {
					t.Errorf("the error %q shows the secret", err)
				}
			}
		})
	}
	t.Run("a body that was changed on the way", func(t *testing.T) {
		t.Parallel()
		for kind, e := range events {
			if kind == GitLab {
				continue // its secret token signs nothing, which is why there are signing tokens
			}
			body := sample(t, e[1])
			header := signed(kind, e[0], body)
			body = []byte(strings.Replace(string(body), newCommit, oldCommit, 1))
			if _, err := (Hook{Forge: kind, Secrets: []string{secret}}).Parse(header, body); !errors.Is(err, ErrUnsigned) {
				t.Errorf("%s: error %v", kind, err)
			}
		}
	})
	t.Run("a message of a forge that was not agreed upon", func(t *testing.T) {
		t.Parallel()
		body := sample(t, "gitlab-push")
		if _, err := (Hook{Forge: GitHub, Secrets: []string{secret}}).Parse(signed(GitLab, "Push Hook", body), body); !errors.Is(err, ErrUnsigned) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("what git could not have sent", func(t *testing.T) {
		t.Parallel()
		for name, change := range map[string][2]string{
			"an option for a ref":        {`"refs/heads/main"`, `"--upload-pack=x"`},
			"a ref that leads out":       {`"refs/heads/main"`, `"refs/heads/../../x"`},
			"a commit that is no digest": {`"after": "` + newCommit + `"`, `"after": "HEAD"`},
			"a repository that is none":  {`"acme/web"`, `"acme/../web"`},
			"half of a message":          {`"ref"`, `"ref`},
			"a number for a ref":         {`"refs/heads/main"`, `3`},
		} {
			body := []byte(strings.Replace(string(sample(t, "github-push")), change[0], change[1], 1))
			if _, err := (Hook{Secrets: []string{secret}}).Parse(signed(GitHub, "push", body), body); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: error %v", name, err)
			}
		}
		body := []byte(strings.Replace(string(sample(t, "github-pull-closed")), mergeCommit, "$(reboot)", 1))
		if _, err := (Hook{Secrets: []string{secret}}).Parse(signed(GitHub, "pull_request", body), body); !errors.Is(err, ErrInvalid) {
			t.Errorf("a merge commit that is no digest: error %v", err)
		}
	})
}

func TestSecretsCanBeExchanged(t *testing.T) {
	t.Parallel()
	body := sample(t, "github-push")
	for _, secrets := range [][]string{{secret, "next"}, {"next", secret}, {"", secret}} {
		if _, err := (Hook{Secrets: secrets}).Parse(signed(GitHub, "push", body), body); err != nil {
			t.Errorf("with %q: %v", secrets, err)
		}
	}
}

func TestForgejoSignsInItsOwnName(t *testing.T) {
	t.Parallel()
	body := sample(t, "gitea-push")
	header := signed(Gitea, "push", body)
	header.Set("X-Forgejo-Event", "push")
	header.Set("X-Forgejo-Delivery", "f-1")
	header.Set("X-Forgejo-Signature", header.Get("X-Gitea-Signature"))
	hook := Hook{Secrets: []string{secret}}
	if e, err := hook.Parse(header, body); err != nil || e.Delivery != "f-1" || e.Forge != Gitea {
		t.Errorf("%v, %+v", err, e)
	}
	header.Set("X-Forgejo-Signature", strings.Repeat("0", 64))
	if _, err := hook.Parse(header, body); !errors.Is(err, ErrUnsigned) {
		t.Errorf("a wrong signature beside a right one: error %v", err)
	}
}

func TestGitLabSigningToken(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	hook := Hook{Forge: GitLab, Secrets: []string{signingToken + base64.StdEncoding.EncodeToString([]byte(key)), secret}, Now: at(noon)}
	body := sample(t, "gitlab-push")
	message := func(when time.Time) http.Header {
		h := signed(GitLab, "Push Hook", body)
		stamp := strconv.FormatInt(when.Unix(), 10)
		h.Set("Webhook-Id", "m-1")
		h.Set("Webhook-Timestamp", stamp)
		h.Set("Webhook-Signature", "v1,AAAA v1,"+base64.StdEncoding.EncodeToString(sum(key, []byte("m-1."+stamp+"."), body)))
		return h
	}
	t.Run("a signed message is believed", func(t *testing.T) {
		t.Parallel()
		if e, err := hook.Parse(message(noon.Add(-time.Minute)), body); err != nil || e.Delivery != "m-1" {
			t.Errorf("%v, %+v", err, e)
		}
	})
	for name, edit := range map[string]func(http.Header){
		"the secret token alone is not enough":      func(h http.Header) { h.Del("Webhook-Signature") },
		"a message under another name is not taken": func(h http.Header) { h.Set("Webhook-Id", "m-2") },
		"a message with another time is not taken": func(h http.Header) {
			h.Set("Webhook-Timestamp", strconv.FormatInt(noon.Unix()+1, 10))
		},
		"an unknown version is not taken": func(h http.Header) {
			h.Set("Webhook-Signature", strings.ReplaceAll(h.Get("Webhook-Signature"), "v1,", "v2,"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := message(noon)
			edit(h)
			if _, err := hook.Parse(h, body); !errors.Is(err, ErrUnsigned) {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, age := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
		if _, err := hook.Parse(message(noon.Add(-age)), body); !errors.Is(err, ErrUnsigned) || !strings.Contains(err.Error(), "clocks") {
			t.Errorf("%v old: error %v", age, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err, len(files))
	}
	events := map[string]string{"bitbucket-push": "repo:push", "bitbucket-pull-created": "pullrequest:created"}
	for i, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		event := events[name]
		if event == "" && strings.Contains(name, "pull") {
			event = "pull_request"
		}
		if event == "" {
			event = "push"
		}
		f.Add(uint8(i), event, "d-1", sample(f, name))
	}
	kinds := []Kind{GitHub, GitLab, Gitea, Bitbucket}
	f.Fuzz(func(t *testing.T, kind uint8, event, delivery string, body []byte) {
		for _, k := range append([]Kind{kinds[int(kind)%len(kinds)]}, kinds...) {
			header := signed(k, event, body)
			for _, name := range []string{"X-GitHub-Delivery", "X-Gitea-Delivery", "X-Gitlab-Event-UUID", "X-Request-UUID"} {
				if header.Get(name) != "" {
					header.Set(name, delivery)
				}
			}
			e, err := Hook{Forge: k, Secrets: []string{secret}}.Parse(header, body)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("error without words: %v", err)
				}
				continue
			}
			if len(e.Keys) == 0 || e.Type == "" {
				t.Fatalf("event without a key or type: %+v", e)
			}
			for _, p := range e.Pushes {
				if !isRef(p.Ref) || p.Deleted != (p.After == "") {
					t.Fatalf("push %+v", p)
				}
			}
			if p := e.PullRequest; p != nil && (!isBranch(p.Source) || !isBranch(p.Target) || p.Number < 1 || len(p.Head) < 7) {
				t.Fatalf("pull request %+v", p)
			}
			header.Set("X-Gitlab-Token", "x")
			for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature"} {
				header.Del(name)
			}
			if _, err := (Hook{Forge: k, Secrets: []string{secret}}).Parse(header, body); !errors.Is(err, ErrUnsigned) {
				t.Fatalf("an unsigned message was taken: %v", err)
			}
		}
	})
}
