package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNotificationsFromTheCommandLine gives command lines and standard input,
// and looks at what a server is asked.
func TestNotificationsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(" with blanks \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const added = `{"name": "team", "kind": "webhook", "to": "https://example.org", "madeSecret": "whsec_new"}`
	for name, c := range map[string]struct {
		args   string
		stdin  string
		answer string
		ask    string // METHOD /path body
		out    string
		code   int
	}{
		"a webhook with a new secret": {
			args: "add webhook team --url https://example.org/x --pipelines web,shop-* --failed", answer: added,
			ask: `PUT /api/v1/notifications/team {"kind":"webhook","url":"https://example.org/x","pipelines":["web","shop-*"],"failed":true}`, out: "whsec_new\n",
		},
		"a chat whose URL comes from standard input": {
			args: "add slack team --url-file - --events stage --events approval", stdin: "https://example.org/secret\n", answer: `{"name": "team"}`,
			ask: `PUT /api/v1/notifications/team {"kind":"slack","url":"https://example.org/secret","events":["stage","approval"]}`,
		},
		"mail with a password from a file": {
			args: "add email ann --smtp mail.example.org:587 --from t@example.org --to ann@example.org --to ben@example.org --user t --password-file " + password, answer: `{"name": "ann"}`,
			ask: `PUT /api/v1/notifications/ann {"kind":"email","smtp":{"server":"mail.example.org:587","security":"starttls","from":"t@example.org","to":["ann@example.org","ben@example.org"],"user":"t","password":" with blanks "}}`,
		},
		"a chat without a URL": {args: "add slack team", code: exitUsage},
		"mail to nobody":       {args: "add email ann --smtp mail.example.org:587 --from t@example.org", code: exitUsage},
		"a list": {
			args: "list", ask: "GET /api/v1/notifications ",
			answer: `[{"name": "team", "kind": "slack", "to": "https://example.org", "events": ["pipeline"], "failed": true, "pipelines": ["web"], "pending": 2, "dead": 1, "error": "it answered 500"}]`,
			out:    "NAME  KIND   TO                   EVENTS                  PENDING  DEAD  LAST\nteam  slack  https://example.org  pipeline failed of web  2        1     never\n",
		},
		"a test that arrived":           {args: "test team", ask: "POST /api/v1/notifications/team/test ", answer: `{"delivered": true}`, out: "team: the test arrived\n"},
		"a test that did not":           {args: "test team", ask: "POST /api/v1/notifications/team/test ", answer: `{"delivered": false, "problem": "no route"}`, out: "team: the test did not arrive: no route\n", code: exitFailed},
		"what is dead":                  {args: "dead team --limit 5", ask: "GET /api/v1/notifications/dead?limit=5&notification=team ", answer: `[{"id": 7, "notification": "team", "title": "web #1 failed", "attempts": 3, "tried": "2026-03-02T08:00:00Z", "error": "it answered 500"}]`, out: "ID  NOTIFICATION  EVENT          ATTEMPTS  GIVEN UP             ERROR\n7   team          web #1 failed  3         2026-03-02 08:00:00  it answered 500\n"},
		"one that is sent again":        {args: "redeliver team 7", ask: `POST /api/v1/notifications/team/redeliver {"id":7}`, answer: `{"count": 1}`, out: "sent again: 1\n"},
		"all that are sent again":       {args: "redeliver team", ask: `POST /api/v1/notifications/team/redeliver {}`, answer: `{"count": 4}`, out: "sent again: 4\n"},
		"one that has no number":        {args: "redeliver team seven", code: exitUsage},
		"one that is told no more":      {args: "remove team", ask: "DELETE /api/v1/notifications/team ", answer: ``},
		"what the server says no to":    {args: "remove team", ask: "DELETE /api/v1/notifications/team ", answer: `no`, code: exitError},
		"a URL on the command of slack": {args: "add slack team --url https://example.org/secret", code: exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := ""
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked = r.Method + " " + r.URL.String() + " " + strings.TrimSpace(string(body))
				w.Header().Set("Content-Type", "application/json")
				if c.answer == "no" {
					w.WriteHeader(http.StatusNotFound)
					_ = json.NewEncoder(w).Encode(map[string]any{"status": 404, "detail": "not found"})
					return
				}
				_, _ = io.WriteString(w, c.answer)
			}))
			defer srv.Close()
			var out bytes.Buffer
			code := Main(t.Context(), Invocation{
				Args: append([]string{"--server", srv.URL, "--token", "x", "notification"}, strings.Fields(c.args)...),
				In:   strings.NewReader(c.stdin), Out: &out, Err: io.Discard,
			})
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if diff := cmp.Diff(c.ask, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.out, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}
