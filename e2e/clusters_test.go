package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/localkube/apiservertest"
)

// administrator is a person with all rights on an API server.
type administrator struct {
	t    testing.TB
	s    *apiservertest.Server
	http *http.Client
}

// startAPIServer starts an API server of the test's own: its credentials may
// be thrown about.
func startAPIServer(t testing.TB) *administrator {
	t.Helper()
	s, err := apiservertest.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := &administrator{t: t, s: s, http: &http.Client{Transport: &http.Transport{TLSClientConfig: s.AdminTLS()}}}
	t.Cleanup(func() {
		a.http.CloseIdleConnections()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *administrator) send(method, path, contentType, body string) []byte {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.s.URL+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := a.http.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		a.t.Fatalf("%s %s: %s %v\n%s", method, path, response.Status, err, text)
	}
	return text
}

// apply applies YAML documents by their paths.
func (a *administrator) apply(documents string) {
	a.t.Helper()
	for document := range strings.SplitSeq(documents, "\n---\n") {
		body, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			a.t.Fatal(err)
		}
		var o unstructured.Unstructured
		if err := o.UnmarshalJSON(body); err != nil {
			a.t.Fatal(err)
		}
		path := "/api/v1"
		if group := o.GroupVersionKind().Group; group != "" {
			path = "/apis/" + o.GetAPIVersion()
		}
		if o.GetNamespace() != "" {
			path += "/namespaces/" + o.GetNamespace()
		}
		path += "/" + strings.ToLower(o.GetKind()) + "s/" + o.GetName() + "?fieldManager=admin&force=true"
		a.send(http.MethodPatch, path, "application/apply-patch+yaml", string(body))
	}
}

// token makes a service account and a token of it.
func (a *administrator) token(namespace, name string) string {
	a.t.Helper()
	a.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}\n---\n{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: " + namespace + ", name: " + name + "}}")
	text := a.send(http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token", "application/json",
		`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}`)
	var answer struct{ Status struct{ Token string } }
	if err := json.Unmarshal(text, &answer); err != nil {
		a.t.Fatal(err)
	}
	return answer.Status.Token
}

// documentedRoles is the YAML of docs/deploying/clusters.md.
func documentedRoles(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../docs/deploying/clusters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- rights -->\n```yaml\n")
	roles, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/deploying/clusters.md has no YAML after <!-- rights -->")
	}
	return strings.TrimSpace(roles)
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said collects all that the program prints, to look for secrets in it.
type said struct {
	*towline
	all strings.Builder
}

// says runs a command and checks its exit code and that its output has some
// parts.
func (s *said) says(code int, args []string, want ...string) {
	s.t.Helper()
	stdout, stderr, got := s.run(args...)
	s.all.WriteString(stdout + stderr)
	if got != code {
		s.t.Errorf("towline %v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, part := range want {
		if !strings.Contains(stdout+stderr, part) {
			s.t.Errorf("towline %v says\n%s%s\nwant %q in it", args, stdout, stderr, part)
		}
	}
}

// TestStoredCluster is the life of a stored cluster, from a command line with
// files to a deployment by the documented rights, over restarts, a change of
// keys and the loss of them.
func TestStoredCluster(t *testing.T) {
	t.Parallel()
	a := startAPIServer(t)
	token := a.token("web", "towline")
	nothing := write(t, "kubeconfig", "{apiVersion: v1, kind: Config, contexts: [{name: production, context: {cluster: x, user: x}}, {name: other, context: {cluster: x, user: x}}], clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: x, user: {token: of-the-context}}]}")
	s := &said{towline: start(t, "--kubeconfig", nothing)}
	ca, tokenFile := write(t, "ca.crt", a.s.CA), write(t, "token", token+"\n")
	add := []string{"cluster", "add", "production", "--api-server", a.s.URL, "--ca-file", ca, "--token-file", tokenFile, "--namespace", "web"}
	const user = "system:serviceaccount:web:towline"

	s.says(2, []string{"cluster", "add", "production", "--api-server", a.s.URL}, "say how to sign in: --token-file")
	s.says(2, append(add, "--in-cluster"), "are several ways to sign in: give one")
	s.says(1, append(add, "--insecure-skip-tls-verify"), "give one of the two")
	s.says(0, add, "production · bearer-token · "+user, "towline cluster test production")
	s.says(1, add, "exists already: give it a new credential with --replace")
	s.says(0, append(add, "--replace"))
	s.says(0, []string{"cluster", "list"}, "production", "bearer-token", user, a.s.URL, "other", "context")
	s.says(0, []string{"cluster", "list", "-o", "json"}, `"stored": true`)

	s.says(3, []string{"cluster", "test", "production"}, "production (stored)", "yes, Kubernetes v1.", user, "missing: patch deployments.apps\n", "missing: create pods/portforward")
	a.apply(documentedRoles(t))
	s.says(0, []string{"cluster", "test", "production"}, "rights     all ")
	s.says(3, []string{"cluster", "test", "other", "-n", "web"}, "a context of the server's kubeconfig", "reachable  no", "connection refused: nobody listens at 127.0.0.1:1")
	s.says(1, []string{"cluster", "test", "nowhere"}, `no cluster "nowhere": neither is one stored under this name (stored: production)`, "(contexts: other, production)")

	t.Run("a deploy action takes the stored one before a context of its name", func(t *testing.T) { deployTo(t, s) })

	s.says(0, []string{"cluster", "rekey"}, "encrypted anew: 1")
	s.kill(syscall.SIGKILL)
	s.up()
	s.says(0, []string{"cluster", "test", "production"}, "rights     all ")
	s.says(0, []string{"cluster", "add", "second", "--kubeconfig", write(t, "kubeconfig", kubeconfigOf(a, token))}, user)

	for _, secret := range []string{token, base64.StdEncoding.EncodeToString([]byte(token))} {
		if strings.Contains(s.all.String()+s.log.String(), secret) {
			t.Error("the token was printed or logged")
		}
		for _, file := range filesWith(t, s.data, secret) {
			t.Errorf("the token is in %s", file)
		}
	}

	s.kill(syscall.SIGTERM)
	if err := os.Remove(filepath.Join(s.data, "keys")); err != nil {
		t.Fatal(err)
	}
	s.up()
	s.says(0, []string{"cluster", "list"}, "unreadable", "the key that cluster production was encrypted with is not in "+filepath.Join(s.data, "keys"))
	s.says(1, []string{"cluster", "test", "production"}, "restore that file from a backup, or remove cluster production and add it again")
	s.says(0, []string{"cluster", "remove", "production"}, "forgotten")
	s.says(1, []string{"cluster", "remove", "production"}, "not found")
	s.says(0, add)
	s.says(0, []string{"cluster", "test", "production"})
}

// deployTo pushes a pipeline that deploys to cluster production, of which
// there are two, and to one that is not there.
func deployTo(t *testing.T, s *said) {
	files := map[string]string{
		"towline.yaml": "pipeline: web\nstages:\n  - name: Deploy\n    actions: [{name: production, deploy: {cluster: production, namespace: web, manifests: k8s}}]\n",
		"k8s/web.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {key: value}}\n",
	}
	c := s.repository("web", files)
	c.write(files)
	e := s.await(c.push("Deploy to the stored cluster").ID)
	s.succeeded(e)
	c.write(map[string]string{"towline.yaml": strings.Replace(files["towline.yaml"], "cluster: production", "cluster: nowhere", 1)})
	e = s.await(c.push("Deploy to a cluster that is not there").ID)
	if got := describe(e); !strings.Contains(got, `no cluster \"nowhere\"`) {
		t.Errorf("execution: %s", got)
	}
}

func kubeconfigOf(a *administrator, token string) string {
	return "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: '" +
		a.s.URL + "', certificate-authority-data: " + base64.StdEncoding.EncodeToString([]byte(a.s.CA)) + "}}], users: [{name: u, user: {token: " + token + "}}]}"
}

// filesWith are the files under a directory that hold a text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
