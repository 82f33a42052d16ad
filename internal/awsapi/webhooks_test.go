package awsapi

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// heldWebhooks are webhooks in memory.
type heldWebhooks struct {
	mu  sync.Mutex
	all map[string]Webhook
}

var _ Webhooks = (*heldWebhooks)(nil)

func (w *heldWebhooks) Put(_ context.Context, hook Webhook) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hook.Path = cmp.Or(w.all[hook.Name].Path, hook.Path)
	w.all[hook.Name] = hook
	return hook.Path, nil
}

func (w *heldWebhooks) List(context.Context) ([]Webhook, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Webhook
	for _, name := range slices.Sorted(maps.Keys(w.all)) {
		found = append(found, w.all[name])
	}
	return found, nil
}

func (w *heldWebhooks) ByPath(ctx context.Context, path string) (Webhook, error) {
	all, _ := w.List(ctx)
	if i := slices.IndexFunc(all, func(hook Webhook) bool { return hook.Path == path }); i >= 0 {
		return all[i], nil
	}
	return Webhook{}, fmt.Errorf("webhook: %w", store.ErrNotFound)
}

func (w *heldWebhooks) Triggered(_ context.Context, name string, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	hook := w.all[name]
	hook.Triggered = at
	w.all[name] = hook
	return nil
}

func (w *heldWebhooks) Delete(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, name)
	return nil
}

// setupWebhooks serves webhooks too, and has the pipeline web.
func setupWebhooks(t *testing.T) *running {
	t.Helper()
	r := setupEngine(t)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.handler.Webhooks = &heldWebhooks{all: map[string]Webhook{}}
	r.handler.WebhookURL = func(path string) string { return server.URL + "/hooks/aws/" + path }
	mux.Handle("POST /hooks/aws/{path}", r.handler)
	r.define(t, "web", func(p *pipeline.Pipeline) {
		p.Stages[0].Actions[0].Configuration = json.RawMessage(`{"Branch": "main"}`)
	})
	return r
}

func webhook(name, filter string, authentication types.WebhookAuthenticationType, parameters types.WebhookAuthConfiguration) *codepipeline.PutWebhookInput {
	return &codepipeline.PutWebhookInput{Webhook: &types.WebhookDefinition{
		Name: &name, TargetPipeline: new("web"), TargetAction: new("push"), Authentication: authentication, AuthenticationConfiguration: &parameters,
		Filters: []types.WebhookFilterRule{{JsonPath: &filter, MatchEquals: new("refs/heads/{Branch}")}},
	}}
}

func TestWebhooksStartPipelines(t *testing.T) {
	t.Parallel()
	r := setupWebhooks(t)
	api, ctx := r.sdk(adminID, secretKey), t.Context()
	put := func(in *codepipeline.PutWebhookInput) string {
		t.Helper()
		out, err := api.PutWebhook(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return *out.Webhook.Url
	}
	signed := put(webhook("signed", "$.ref", types.WebhookAuthenticationTypeGithubHmac, types.WebhookAuthConfiguration{SecretToken: new("the-secret")}))
	near := put(webhook("near", "$.ref", types.WebhookAuthenticationTypeIp, types.WebhookAuthConfiguration{AllowedIPRange: new("127.0.0.0/8")}))
	far := put(webhook("far", "$.ref", types.WebhookAuthenticationTypeIp, types.WebhookAuthConfiguration{AllowedIPRange: new("192.0.2.0/24")}))
	open := put(webhook("open", "$.ref", types.WebhookAuthenticationTypeUnauthenticated, types.WebhookAuthConfiguration{}))
	const pushed = `{"ref": "refs/heads/main", "after": "3f"}`
	for _, step := range []struct {
		name, url, body, secret string
		status                  int
		said                    string
	}{
		{"a signed message", signed, pushed, "the-secret", 200, "web-1 started"},
		{"the same again", signed, pushed, "the-secret", 200, "nothing to do: this message has been taken before"},
		{"one signed by somebody else", signed, `{"ref": "refs/heads/main"}`, "another", 401, "there is no such webhook, or"},
		{"one that is not signed", signed, `{"ref": "refs/heads/main"}`, "", 401, "there is no such webhook, or"},
		{"a path that is not", signed + "x", pushed, "the-secret", 401, "there is no such webhook, or"},
		{"another branch", signed, `{"ref": "refs/heads/other"}`, "the-secret", 200, "nothing to do: the filter $.ref"},
		{"no such member", signed, `{"zen": "Keep it logically awesome."}`, "the-secret", 200, "nothing to do: the filter $.ref"},
		{"no JSON", signed, `ref=main`, "the-secret", 400, "the message is not one JSON object"},
		{"from an address in the range", near, pushed, "", 200, "web-2 started"},
		{"from elsewhere", far, pushed, "", 401, "there is no such webhook, or"},
		{"from anybody", open, pushed, "", 200, "web-3 started"},
		{"from anybody again", open, pushed, "", 200, "web-4 started"},
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, step.url, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		if step.secret != "" {
			mac := hmac.New(sha256.New, []byte(step.secret))
			mac.Write([]byte(step.body))
			request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != step.status || !strings.HasPrefix(string(said), step.said) {
			t.Errorf("%s: %d %s %v, want %d %s", step.name, response.StatusCode, said, err, step.status, step.said)
		}
	}
	e, err := api.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: new("web"), PipelineExecutionId: new("web-1")})
	if err != nil || e.PipelineExecution.Trigger.TriggerType != types.TriggerTypeWebhook || *e.PipelineExecution.Trigger.TriggerDetail != "signed" {
		t.Errorf("%v, trigger %+v", err, e.PipelineExecution.Trigger)
	}
}

// dying is a Starts of a server that dies at the first start.
type dying struct {
	Starts
	dead *atomic.Bool
}

func (d dying) Start(ctx context.Context, req engine.StartRequest) (pipeline.Execution, error) {
	if d.dead.CompareAndSwap(false, true) {
		panic(http.ErrAbortHandler) // after which nothing more is done about the message
	}
	return d.Starts.Start(ctx, req)
}

func TestAMessageIsTakenWithTheStartThatItLeadsTo(t *testing.T) {
	t.Parallel()
	r := setupWebhooks(t)
	r.handler.Starts = dying{r.handler.Starts, &atomic.Bool{}}
	out, err := r.sdk(adminID, secretKey).PutWebhook(t.Context(), webhook("a", "$.ref", types.WebhookAuthenticationTypeGithubHmac, types.WebhookAuthConfiguration{SecretToken: new("s")}))
	if err != nil {
		t.Fatal(err)
	}
	send := func() (string, error) {
		const body = `{"ref": "refs/heads/main"}`
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, *out.Webhook.Url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte("s"))
		mac.Write([]byte(body))
		request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		said, err := io.ReadAll(response.Body)
		return string(said), err
	}
	if said, err := send(); err == nil {
		t.Fatalf("the server did not die: %s", said)
	}
	if said, err := send(); err != nil || said != "web-1 started\n" {
		t.Errorf("sent again: %q, %v", said, err)
	}
}

func TestWebhooksAreKept(t *testing.T) {
	t.Parallel()
	r := setupWebhooks(t)
	api, ctx := r.sdk(adminID, secretKey), t.Context()
	hub := types.WebhookAuthenticationTypeGithubHmac
	first, err := api.PutWebhook(ctx, webhook("a", "$.ref", hub, types.WebhookAuthConfiguration{SecretToken: new("one")}))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("one that is put again keeps its URL, and no secret is shown", func(t *testing.T) {
		again, err := api.PutWebhook(ctx, webhook("a", "$['ref']", hub, types.WebhookAuthConfiguration{SecretToken: new("two")}))
		if err != nil || *again.Webhook.Url != *first.Webhook.Url || *again.Webhook.Definition.AuthenticationConfiguration.SecretToken != "****" {
			t.Errorf("%v %+v", err, again)
		}
	})
	t.Run("they are listed page by page", func(t *testing.T) {
		if _, err := api.PutWebhook(ctx, webhook("b", "$.ref", hub, types.WebhookAuthConfiguration{SecretToken: new("s")})); err != nil {
			t.Fatal(err)
		}
		var got []string
		pages := codepipeline.NewListWebhooksPaginator(api, &codepipeline.ListWebhooksInput{MaxResults: new(int32(1))})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range page.Webhooks {
				got = append(got, *w.Definition.Name+" "+*w.Arn)
			}
		}
		if want := []string{"a arn:aws:codepipeline:eu-west-1:123456789012:webhook:a", "b arn:aws:codepipeline:eu-west-1:123456789012:webhook:b"}; !slices.Equal(got, want) {
			t.Errorf("listed %v", got)
		}
	})
	t.Run("what cannot be is refused", func(t *testing.T) {
		elsewhere := webhook("c", "$.ref", hub, types.WebhookAuthConfiguration{SecretToken: new("s")})
		elsewhere.Webhook.TargetPipeline = new("nope")
		build := webhook("c", "$.ref", hub, types.WebhookAuthConfiguration{SecretToken: new("s")})
		build.Webhook.TargetAction = new("unit")
		for want, in := range map[string][]*codepipeline.PutWebhookInput{
			"InvalidWebhookFilterPatternException": {webhook("c", "$..ref", hub, types.WebhookAuthConfiguration{SecretToken: new("s")}), webhook("c", "ref", hub, types.WebhookAuthConfiguration{SecretToken: new("s")})},
			"InvalidWebhookAuthenticationParametersException": {
				webhook("c", "$.ref", hub, types.WebhookAuthConfiguration{}),
				webhook("c", "$.ref", hub, types.WebhookAuthConfiguration{SecretToken: new("****")}),
				webhook("c", "$.ref", types.WebhookAuthenticationTypeIp, types.WebhookAuthConfiguration{AllowedIPRange: new("here")}),
				webhook("c", "$.ref", types.WebhookAuthenticationTypeUnauthenticated, types.WebhookAuthConfiguration{SecretToken: new("s")}),
			},
			"PipelineNotFoundException": {elsewhere},
			"ValidationException":       {build},
		} {
			for _, bad := range in {
				if _, err := api.PutWebhook(ctx, bad); codeOf(err) != want {
					t.Errorf("error %v, want %s", err, want)
				}
			}
		}
	})
	t.Run("a deleted one answers nobody", func(t *testing.T) {
		for range 2 {
			if _, err := api.DeleteWebhook(ctx, &codepipeline.DeleteWebhookInput{Name: new("a")}); err != nil {
				t.Fatal(err)
			}
		}
		response, err := http.Post(*first.Webhook.Url, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", response.StatusCode)
		}
	})
}

func FuzzJSONPath(f *testing.F) {
	for _, seed := range []string{"$", "$.ref", "$['a b']", `$["a"]`, "$.commits[0].id", "$[0][1]", "$..a", "$.a[*]", "$.", "$['']", "$['a", "a", "$[99999999999]", "$.a b"} {
		f.Add(seed, `{"ref": "refs/heads/main", "commits": [{"id": 7}], "a": {"b": null}}`)
	}
	f.Fuzz(func(t *testing.T, text, document string) {
		path, err := parseJSONPath(text)
		if err != nil {
			return
		}
		var value any
		if json.Unmarshal([]byte(document), &value) != nil {
			return
		}
		path.in(value)
		// A path that is read names its own value in a document made for it.
		made := any("found")
		for _, step := range slices.Backward(path) {
			switch {
			case step.index < 0:
				made = map[string]any{step.member: made}
			case step.index > 1000:
				return
			default:
				list := make([]any, step.index+1)
				list[step.index] = made
				made = list
			}
		}
		if got, ok := path.in(made); !ok || got != "found" {
			t.Errorf("%q found %q in %v", text, got, made)
		}
	})
}
