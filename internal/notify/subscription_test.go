package notify_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

type ctxT = context.Context

// listed is the only subscription.
func listed(t *testing.T, b *bundle) notify.Listed {
	t.Helper()
	all, err := b.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("listed %+v, %v", all, err)
	}
	return all[0]
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWhatCannotBeSubscribedIsRefused(t *testing.T) {
	t.Parallel()
	hook := func(url string) notify.Subscription {
		return notify.Subscription{Kind: notify.Webhook, Target: notify.Target{URL: url}}
	}
	mailbox := func(change func(*notify.SMTP)) notify.Subscription {
		way := notify.SMTP{Server: "mail.example.org:587", From: "a@example.org", To: []string{"b@example.org"}}
		change(&way)
		return notify.Subscription{Kind: notify.Email, Target: notify.Target{SMTP: &way}}
	}
	with := func(s notify.Subscription, f notify.Filter) notify.Subscription { s.Filter = f; return s }
	for name, c := range map[string]struct {
		given notify.Subscription
		field string // "" when it is taken
	}{
		"an address of the web":           {hook("https://example.org/hook?key=1"), ""},
		"one of the private network":      {hook("http://10.0.0.1:8080/hook"), ""},
		"no URL":                          {hook(""), "url"},
		"a file":                          {hook("file:///etc/passwd"), "url"},
		"a URL without a host":            {hook("https:///x"), "url"},
		"a password in the URL":           {hook("https://ann:secret@example.org/"), "url"},
		"a fragment":                      {hook("https://example.org/#x"), "url"},
		"an endless URL":                  {hook("https://example.org/" + strings.Repeat("x", 2048)), "url"},
		"a secret in another form":        {notify.Subscription{Kind: notify.Webhook, Target: notify.Target{URL: "https://example.org/", Secret: "hunter2"}}, "secret"},
		"a secret that is too short":      {notify.Subscription{Kind: notify.Webhook, Target: notify.Target{URL: "https://example.org/", Secret: "whsec_c2hvcnQ="}}, "secret"},
		"a secret for a chat":             {notify.Subscription{Kind: notify.Slack, Target: notify.Target{URL: "https://example.org/", Secret: "whsec_c2hvcnQ="}}, "kind"},
		"another kind":                    {notify.Subscription{Kind: "pager"}, "kind"},
		"an event that there is not":      {with(hook("https://example.org/"), notify.Filter{Kinds: []notify.What{"rule"}}), "events"},
		"a pattern that cannot be read":   {with(hook("https://example.org/"), notify.Filter{Pipelines: []string{"web-["}}), "pipelines"},
		"mail":                            {mailbox(func(*notify.SMTP) {}), ""},
		"mail to nobody":                  {mailbox(func(m *notify.SMTP) { m.To = nil }), "smtp.to"},
		"mail to what is no address":      {mailbox(func(m *notify.SMTP) { m.To = []string{"ann"} }), "smtp.to"},
		"mail with another header":        {mailbox(func(m *notify.SMTP) { m.From = "a@example.org\r\nBcc: c@example.org" }), "smtp.from"},
		"mail by a server without a port": {mailbox(func(m *notify.SMTP) { m.Server = "mail.example.org" }), "smtp.server"},
		"a user without a password":       {mailbox(func(m *notify.SMTP) { m.User = "a" }), "smtp.user"},
		"a password in the clear":         {mailbox(func(m *notify.SMTP) { m.User, m.Password, m.Security = "a", "b", notify.Plain }), "smtp.security"},
		"another security":                {mailbox(func(m *notify.SMTP) { m.Security = "ssl3" }), "smtp.security"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.given.Check()
			var invalid *notify.InvalidError
			switch {
			case c.field == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.field != "" && (!errors.As(err, &invalid) || invalid.Field != c.field):
				t.Errorf("error %v, want one about %s", err, c.field)
			case strings.Contains(errorText(err), "secret@"), strings.Contains(errorText(err), "hunter2"):
				t.Errorf("the error gives the secret away: %v", err)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	approval := pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}
	changes := map[string]pipeline.Change{
		"pipeline started": {Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeStarted},
		"pipeline failed":  {Kind: pipeline.ChangeOfPipeline, State: pipeline.ChangeFailed},
		"stage started":    {Kind: pipeline.ChangeOfStage, State: pipeline.ChangeStarted},
		"stage failed":     {Kind: pipeline.ChangeOfStage, State: pipeline.ChangeFailed},
		"action started":   {Kind: pipeline.ChangeOfAction, State: pipeline.ChangeStarted},
		"approval needed":  {Kind: pipeline.ChangeOfAction, State: pipeline.ChangeStarted, Type: approval},
	}
	for name, c := range map[string]struct {
		kind   notify.Kind
		filter notify.Filter
		want   []string
	}{
		"a webhook hears of everything":                       {notify.Webhook, notify.Filter{}, []string{"action started", "approval needed", "pipeline failed", "pipeline started", "stage failed", "stage started"}},
		"people hear of the pipeline and what waits for them": {notify.Slack, notify.Filter{}, []string{"approval needed", "pipeline failed", "pipeline started"}},
		"of failures alone, and still of what waits for them": {notify.Email, notify.Filter{Failed: true}, []string{"approval needed", "pipeline failed"}},
		"stages alone":    {notify.Webhook, notify.Filter{Kinds: []notify.What{notify.Stages}}, []string{"stage failed", "stage started"}},
		"approvals alone": {notify.Webhook, notify.Filter{Kinds: []notify.What{notify.Approvals}, Failed: true}, []string{"approval needed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := notify.Subscription{Kind: c.kind, Filter: c.filter, Target: notify.Target{URL: "https://example.org/"}}
			if c.kind == notify.Email {
				s.Target = notify.Target{SMTP: &notify.SMTP{Server: "localhost:25", From: "a@example.org", To: []string{"b@example.org"}}}
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for about, change := range changes {
				if s.Filter.Match(change) {
					got = append(got, about)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("told of (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyTheNamedPipelinesAreTold(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	b.add(notify.Subscription{Name: "shop", Kind: notify.Webhook, Target: notify.Target{URL: "http://127.0.0.1:1/"}, Filter: notify.Filter{Pipelines: []string{"shop-*"}}})
	b.add(notify.Subscription{Name: "web", Kind: notify.Webhook, Target: notify.Target{URL: "http://127.0.0.1:1/"}, Filter: notify.Filter{Pipelines: []string{"shop", "we?"}}})
	b.happen(1, "Test")
	b.until("web is told", func(ctxT) bool {
		counts, err := b.Store.CountNotices(t.Context())
		return err == nil && counts["web"].Pending == 1 && counts["shop"] == store.NoticeCounts{}
	})
}

func TestNothingOfATargetIsInTheDatabase(t *testing.T) {
	t.Parallel()
	b := started(t, nil)
	added := b.add(notify.Subscription{Name: "hook", Kind: notify.Webhook, Target: notify.Target{URL: "http://127.0.0.1:1/T0/the-path"}})
	b.happen(1, "Test")
	b.until("it fails", func(ctxT) bool { return listed(t, b).Counts.Error != "" })
	if err := b.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shown := listed(t, b); shown.Problem != "" || shown.To != "http://127.0.0.1:1" {
		t.Errorf("after resealing: %+v", shown)
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "towline.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"the-path", strings.TrimPrefix(added.Target.Secret, "whsec_")} {
			if bytes.Contains(text, []byte(part)) {
				t.Errorf("%s holds %q", filepath.Base(file), part)
			}
		}
	}
}

func TestALostKeyIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.webhook("http://127.0.0.1:1/")
	other, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	config := b.Config
	config.Keys = other
	b.Notifier = notify.New(config)
	if shown := listed(t, b); !strings.Contains(shown.Problem, "restore that file from a backup") {
		t.Errorf("shown %+v", shown)
	}
	if problem, err := b.Test(t.Context(), "hook"); problem == nil || err != nil {
		t.Errorf("problem %v, %v", problem, err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, testing := b.Test(t.Context(), "x")
	_, dead := b.Dead(t.Context(), "x", 0)
	_, redelivered := b.Redeliver(t.Context(), "x", 0)
	for _, err := range []error{b.Remove(t.Context(), "x"), testing, dead, redelivered} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	}
	b.webhook("http://127.0.0.1:1/")
	if _, err := b.Add(t.Context(), notify.Subscription{Name: "hook", Kind: notify.Webhook, Target: notify.Target{URL: "http://127.0.0.1:1/"}}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second of the name: %v", err)
	}
}
