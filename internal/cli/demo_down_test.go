package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheDemoRemovesOnlyItsOwnNamespace asks a stand-in for an API server,
// which knows namespaces and nothing else, and notes what is deleted.
func TestTheDemoRemovesOnlyItsOwnNamespace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		namespace string // the answer's metadata besides the name; "" is not found
		keep      bool
	}{
		"one that was not there goes":          {"", false},
		"one that was there stays":             {`"uid":"1"`, true},
		"one that was going is a new one soon": {`"deletionTimestamp":"2026-01-01T00:00:00Z"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deleted := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.URL.Path == "/version":
					fmt.Fprint(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
				case r.URL.Path == "/api":
					fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
				case r.URL.Path == "/apis":
					fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
				case r.URL.Path == "/api/v1":
					fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["get","delete"]}]}`)
				case r.Method == http.MethodDelete:
					deleted = true
					fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
				case c.namespace == "":
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
				default:
					fmt.Fprintf(w, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"web",%s}}`, c.namespace)
				}
			}))
			defer server.Close()
			data := t.TempDir()
			config := filepath.Join(data, "kubeconfig")
			text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"" + server.URL + "\"}}]\n" +
				"users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var talk strings.Builder
			d := &demo{command: &command{Invocation: Invocation{Err: &talk}, data: data}, kubeconfig: config, context: "c"}
			if err := os.MkdirAll(demoData(data), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := d.chooseCluster(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := d.command.demoDown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if deleted == c.keep || strings.Contains(talk.String(), "stays") != c.keep {
				t.Errorf("deleted: %t, keep: %t\n%s", deleted, c.keep, talk.String())
			}
		})
	}
}
