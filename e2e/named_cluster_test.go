package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/registry"
)

// demoNamespace is held by the test whose demo runs: its namespace is the same
// each time.
var demoNamespace sync.Mutex

// TestDemoOnANamedCluster runs the demo as somebody would who has a cluster and
// a registry that it can pull from.
func TestDemoOnANamedCluster(t *testing.T) {
	t.Parallel()
	needCluster(t)
	demoNamespace.Lock()
	defer demoNamespace.Unlock()
	images := openRegistry(t)
	data := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "--data", data, "demo", "--once", "-o", "json", "--listen", "127.0.0.1:0",
		"--context", localkube.DefaultName, "--registry", images+"/acme", "--example", untested(t))
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("towline demo: %v\n%s", err, talk.String())
	}
	var got struct{ Image, Status, URL string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "Succeeded" || !strings.HasPrefix(got.Image, images+"/acme/web@sha256:") {
		t.Errorf("got %+v", got)
	}
	if body := get(t, got.URL); !strings.HasPrefix(body, "Bonjour ") {
		t.Errorf("the application says %q", body)
	}
	demoDown(t, data)
}

// untested is the Go example without its Test stage, which TestDemo runs: a
// pipeline's first tests compile for a minute.
func untested(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := &clone{s: &towline{t: t}, dir: dir}
	files := example(t, "go-web", "web")
	before, rest, _ := strings.Cut(files["towline.yaml"], "  - name: Test\n")
	_, after, ok := strings.Cut(rest, "  - name: Package\n")
	if !ok {
		t.Fatal("the example has no stage Test before Package")
	}
	files["towline.yaml"] = before + "  - name: Package\n" + after
	c.write(files)
	return dir
}

// openRegistry serves a registry that asks for no password, lets the cluster's
// nodes pull from it, and returns its host and port.
func openRegistry(t *testing.T) string {
	t.Helper()
	r, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: func(*http.Request, string, bool) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := localkube.New(localkube.Config{})
	if err != nil {
		t.Fatal(err)
	}
	address, err := cluster.HostAddress()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: r}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = r.Close()
	})
	host := l.Addr().String()
	if err := cluster.TrustRegistry(t.Context(), host, "http://"+host, ""); err != nil {
		t.Fatal(err)
	}
	return host
}
