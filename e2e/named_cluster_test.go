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
	data, source := t.TempDir(), t.TempDir()
	(&clone{s: &towline{t: t}, dir: source}).write(compiled(t, "web", false))
	cmd := exec.CommandContext(t.Context(), program, "--data", data, "demo", "--once", "-o", "json", "--listen", "127.0.0.1:0",
		"--context", localkube.DefaultName, "--registry", images+"/acme", "--example", source)
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

// compiled is the Go example, moved to a pipeline of its own, with a program
// that was compiled before and reads its greeting from the source file: TestDemo
// compiles the example, and waits as long as deployments do by default. With
// tested it keeps its stage Test, whose one test compiles quickly.
func compiled(t *testing.T, as string, tested bool) map[string]string {
	t.Helper()
	files := example(t, "go-web", as)
	before, rest, _ := strings.Cut(files["towline.yaml"], "  - name: Test\n")
	test, rest, _ := strings.Cut(rest, "  - name: Package\n")
	_, after, ok := strings.Cut(rest, "  - name: Image\n")
	if !ok || !strings.Contains(files["site.go"], greetingLine+"\n") {
		t.Fatalf("the example has not the stages Test, Package, Image, or no line %q", greetingLine)
	}
	for path := range files {
		if strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "migrations/") {
			delete(files, path)
		}
	}
	if tested {
		before += "  - name: Test\n" + test
	}
	files["towline.yaml"] = before + "  - name: Package\n    actions: [{name: app, build: {commands: [chmod +x web], artifacts: [web, site.go]}}]\n  - name: Image\n" + after
	const verify = "          verify:"
	if !strings.Contains(files["towline.yaml"], verify) {
		t.Fatal("the example's deployment is not verified any more")
	}
	files["towline.yaml"] = strings.Replace(files["towline.yaml"], verify, "          propagation: 3s\n"+verify, 1)
	files["web"] = compile(t, greeter)
	files["site.go"] = "package main\n\n" + greetingLine + "\n\nfunc main() { println(greeting) }\n"
	files["site_test.go"] = "package main\n\nimport \"testing\"\n\nfunc TestThereIsAGreeting(t *testing.T) {\n\tif greeting == \"\" {\n\t\tt.Fatal(\"none\")\n\t}\n}\n"
	return files
}

// greetingLine is the line of the example that its greeting is in.
const greetingLine = `const greeting = "Hello"`

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
