package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

// TestTheLibrariesOfTheClusterSayNothingThemselves deploys to an API server that
// refuses everything but its version, at which client-go writes lines of its own
// to standard error.
func TestTheLibrariesOfTheClusterSayNothingThemselves(t *testing.T) { // Alone, for the standard error of the process.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			fmt.Fprintln(w, `{"major": "1", "minor": "37", "gitVersion": "v1.37.2"}`)
			return
		}
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	manifest := filepath.Join(dir, "env.yaml")
	kubeconfig := filepath.Join(dir, "kubeconfig")
	write(t, manifest, "{apiVersion: v1, kind: ConfigMap, metadata: {name: env}}\n")
	write(t, kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}]}`, server.URL))

	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = writer
	defer func() { os.Stderr = stderr }()
	var log bytes.Buffer
	code := Main(t.Context(), Invocation{
		Args: []string{"deploy", "-f", manifest, "--kubeconfig", kubeconfig, "--dry-run"}, In: strings.NewReader(""), Out: io.Discard, Err: &log,
	})
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	noise, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(noise) > 0 || code != exitError || !strings.Contains(log.String(), "credentials") {
		t.Errorf("exit code %d, want %d; log:\n%s\nbeside it, where nothing should be:\n%s", code, exitError, &log, noise)
	}
}

func TestFlagsThatAreNotRightSayHowTheyAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"an image without its reference", `--image "web": write NAME=REFERENCE`, []string{"-f", dir, "--image", "web"}},
		{"a variable without its value", `--set "DOMAIN": write NAME=VALUE`, []string{"-f", dir, "--set", "DOMAIN"}},
		{"manifests and a chart", "-f and --chart exclude each other", []string{"-f", dir, "--chart", dir}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			code := Main(t.Context(), Invocation{Args: append([]string{"deploy"}, c.args...), In: strings.NewReader(""), Out: io.Discard, Err: &log})
			if code != exitUsage || !strings.Contains(log.String(), c.want) {
				t.Errorf("exit code %d, %q; want %d and %q", code, log.String(), exitUsage, c.want)
			}
		})
	}
}

// TestTheListOfDeploymentsIsNarrow keeps what limits a verdict, a sentence or
// two, out of the table.
func TestTheListOfDeploymentsIsNarrow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &command{Invocation: Invocation{Out: &out, Err: io.Discard}}
	verdict := &pipeline.Verdict{Requests: 201, LongestGapMs: 14, Partial: "counted after the rollout only"}
	if err := c.printDeployments([]pipeline.Deployment{{App: "web", Outcome: pipeline.Succeeded, Verdict: verdict}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "0 of 201 requests lost · longest gap 14 ms\n") || verdict.Partial == "" {
		t.Errorf("the table is\n%s", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
