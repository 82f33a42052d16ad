package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/server"
)

// visitors are known by credentials that never change. A session's token is a
// number.
type visitors struct {
	mu   sync.Mutex
	open map[string]client.Session
}

var _ server.SignIns = (*visitors)(nil)

func (*visitors) Check(_ context.Context, credential string) (client.Session, error) {
	switch credential {
	case tokens.Admin:
		return client.Session{Name: "admin", Role: client.Admin, Owner: true}, nil
	case "AKIAVIEWER:secret":
		return client.Session{Name: "eve", Role: client.Viewer}, nil
	case "AKIAOPERATOR:secret":
		return client.Session{Name: "otto", Role: client.Operator}, nil
	case "AKIAADMIN:secret":
		return client.Session{Name: "ada", Role: client.Admin}, nil
	}
	return client.Session{}, server.ErrNobody
}

func (v *visitors) SignIn(ctx context.Context, req client.SessionRequest) (string, client.Session, error) {
	who, err := v.Check(ctx, req.Credential)
	if err != nil {
		return "", who, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	who.Expires = time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	token := fmt.Sprint(len(v.open))
	if v.open == nil {
		v.open = map[string]client.Session{}
	}
	v.open[token] = who
	return token, who, nil
}

func (v *visitors) Session(_ context.Context, token string) (client.Session, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	who, ok := v.open[token]
	if !ok {
		return who, server.ErrNobody
	}
	return who, nil
}

func (v *visitors) SignOut(_ context.Context, token string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.open, token)
	return nil
}

// browser is somebody's browser: it keeps cookies, and tells where its requests
// come from.
type browser struct {
	t    *testing.T
	url  string
	http http.Client
}

func newBrowser(t *testing.T, url string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, url, http.Client{Jar: jar}}
}

func (b *browser) ask(method, path, body string, headers map[string]string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestASessionStandsForItsCredential(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	visitor := newBrowser(t, b.url)
	own := map[string]string{"Sec-Fetch-Site": "same-origin"}
	if status, text := visitor.ask("POST", "/api/v1/session", `{"credential":"wrong"}`, own); status != 401 || !strings.Contains(text, "admin-token") {
		t.Fatal(status, text)
	}
	if status, text := visitor.ask("POST", "/api/v1/session", `{"credential":"AKIAVIEWER:secret"}`, map[string]string{"Sec-Fetch-Site": "cross-site"}); status != 403 {
		t.Fatal("another site signed somebody in:", status, text)
	}
	if status, text := visitor.ask("POST", "/api/v1/session", `{"credential":"AKIAOPERATOR:secret"}`, own); status != 200 || strings.Contains(text, "secret") {
		t.Fatal(status, text)
	}
	if status, text := visitor.ask("GET", "/api/v1/session", "", nil); status != 200 || !strings.Contains(text, `"otto"`) {
		t.Error(status, text)
	}
	if status, text := visitor.ask("POST", "/api/v1/executions/none-1/stop", `{}`, own); status != 404 {
		t.Error("an operator may stop, and there is nothing:", status, text)
	}
	if status, text := visitor.ask("POST", "/api/v1/executions/none-1/stop", `{}`, map[string]string{"Sec-Fetch-Site": "cross-site"}); status != 403 || !strings.Contains(text, "another site") {
		t.Error("another site used the session:", status, text)
	}
	if status, text := visitor.ask("POST", "/api/v1/executions/none-1/stop", `{}`, map[string]string{"Origin": "https://evil.example"}); status != 403 {
		t.Error("another site used the session:", status, text)
	}
	if status, text := visitor.ask("GET", "/git/web.git/info/refs?service=git-receive-pack", "", nil); status != 401 {
		t.Error("a session is for the API alone:", status, text)
	}
	if status, text := visitor.ask("DELETE", "/api/v1/session", "", own); status != 200 {
		t.Error(status, text)
	}
	if status, text := visitor.ask("GET", "/api/v1/session", "", nil); status != 401 {
		t.Error("signed out, and still known:", status, text)
	}
}

func TestTheCookieIsOutOfReach(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	resp, err := http.Post(b.url+"/api/v1/session", "application/json", strings.NewReader(`{"credential":"AKIAVIEWER:secret"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cookies := resp.Cookies()
	if len(cookies) != 1 {
		t.Fatal(cookies)
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Expires.Before(time.Now()) {
		t.Errorf("%+v", c)
	}
}

// TestEachOperationNeedsItsRole asks the API itself, so that a new operation
// has to be put where it belongs.
func TestEachOperationNeedsItsRole(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	admin := map[string]string{"Authorization": "Bearer " + tokens.Admin}
	status, text := newBrowser(t, b.url).ask("GET", "/api/v1/openapi.json", "", admin)
	if status != 200 {
		t.Fatal(status, text)
	}
	var described struct {
		Paths map[string]map[string]struct {
			Role string `json:"x-towline-role"`
		}
	}
	if err := json.Unmarshal([]byte(text), &described); err != nil {
		t.Fatal(err)
	}
	changing := map[string][]string{}
	for path, operations := range described.Paths {
		for method, operation := range operations {
			name := strings.ToUpper(method) + " " + strings.TrimPrefix(path, "/api/v1")
			switch {
			case name == "POST /session":
			case method == "get":
				if operation.Role != "viewer" {
					t.Errorf("%s needs %q", name, operation.Role)
				}
			default:
				changing[operation.Role] = append(changing[operation.Role], name)
			}
		}
	}
	for _, names := range changing {
		slices.Sort(names)
	}
	want := map[string][]string{
		"viewer": {"DELETE /session"},
		"operator": {
			"POST /clusters/{name}/test", "POST /executions/{id}/approval", "POST /executions/{id}/override", "POST /executions/{id}/retry", "POST /executions/{id}/stop",
			"POST /functions/{name}/invocations", "POST /notifications/{name}/redeliver", "POST /notifications/{name}/test", "POST /pipelines/{name}/executions", "POST /pipelines/{name}/stages/{stage}/rollback",
			"PUT /pipelines/{name}/stages/{stage}/transitions/{type}",
		},
		"owner": {"DELETE /access-keys/{id}", "POST /access-keys", "POST /clusters/rekey"},
	}
	for _, role := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[role], changing[role]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
	if len(changing["admin"]) == 0 || len(changing[""]) > 0 {
		t.Error(changing)
	}
}

func TestRolesAreHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	for name, c := range map[string]struct {
		user, method, path, body string
		want                     int
	}{
		"a viewer reads":                    {"AKIAVIEWER", "GET", "/pipelines", "", 200},
		"a viewer stops nothing":            {"AKIAVIEWER", "POST", "/executions/none-1/stop", `{}`, 403},
		"a viewer makes no repository":      {"AKIAVIEWER", "POST", "/repositories", `{"name":"web"}`, 403},
		"an operator makes no repository":   {"AKIAOPERATOR", "POST", "/repositories", `{"name":"web"}`, 403},
		"an admin makes a repository":       {"AKIAADMIN", "POST", "/repositories", `{"name":"shop"}`, 200},
		"an admin's key makes no other key": {"AKIAADMIN", "POST", "/access-keys", `{}`, 403},
		"a viewer puts no function":         {"AKIAVIEWER", "PUT", "/functions/f", ``, 403},
		"a key that is not there is nobody": {"AKIANONE", "GET", "/pipelines", ``, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), c.method, b.url+"/api/v1"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.SetBasicAuth(c.user, "secret")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.want {
				text, _ := io.ReadAll(resp.Body)
				t.Errorf("%d %s, want %d", resp.StatusCode, text, c.want)
			}
		})
	}
}
