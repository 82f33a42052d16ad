package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/kube"
)

// silentVariable makes the test binary the program that must be silent.
const silentVariable = "TOWLINE_TEST_SILENT"

// TestLibrariesAreSilent runs in a process of its own, for klog's logger is the
// whole process's.
func TestLibrariesAreSilent(t *testing.T) {
	t.Parallel()
	if os.Getenv(silentVariable) != "" {
		cutShort(t)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibrariesAreSilent$")
	child.Env = append(os.Environ(), silentVariable+"=yes")
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	if err := child.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error has:\n%s", stderr.String())
	}
}

// cutShort gives a request up while its answer is being read, which client-go
// logs as an error.
func cutShort(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "SecretList",`)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		// The client has the header by then, and waits for the rest.
		time.AfterFunc(100*time.Millisecond, cancel)
		<-r.Context().Done()
	}))
	defer half.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: half, cluster: {server: %q}}]
users: [{name: anna, user: {}}]
contexts: [{name: half, context: {cluster: half, user: anna}}]
current-context: half
`, half.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Connect(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Secrets(ctx, "default", ""); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("the list was not cut short: %v", err)
	}
}
