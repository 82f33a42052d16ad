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
		"--context", localkube.DefaultName, "--registry", images+"/acme", "--example", compiled(t))
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

// compiled is the Go example with a program that was compiled before and reads
// its greeting from the source file: TestDemo compiles and tests the example,
// which takes a minute of processor.
func compiled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := &clone{s: &towline{t: t}, dir: dir}
	files := example(t, "go-web", "web")
	_, rest, _ := strings.Cut(files["towline.yaml"], "  - name: Package\n")
	_, after, ok := strings.Cut(rest, "  - name: Image\n")
	if !ok {
		t.Fatal("the example has no stage Image after Package")
	}
	c.write(map[string]string{
		"towline.yaml": "pipeline: web\nstages:\n  - name: Package\n    actions: [{name: app, build: {commands: [chmod +x web], artifacts: [web, site.go]}}]\n  - name: Image\n" + after,
		"web":          compile(t, greeter),
		"site.go":      files["site.go"],
	})
	for path, text := range files {
		if strings.HasPrefix(path, "k8s/") {
			c.write(map[string]string{path: text})
		}
	}
	return dir
}

// greeter greets as the source file beside it says, and asks its clients to go
// before it ends.
const greeter = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	source, err := os.ReadFile("/app/site.go")
	if err != nil {
		panic(err)
	}
	greeting := regexp.MustCompile("const greeting = \"(.*)\"").FindSubmatch(source)[1]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var ending atomic.Bool
	server := http.Server{Addr: ":8080", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "%s from a program\n", greeting)
	})}
	go server.ListenAndServe()
	<-ctx.Done()
	ending.Store(true)
	time.Sleep(2 * time.Second)
	server.Shutdown(context.Background())
}
`

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
