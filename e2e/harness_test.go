package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// towline is a server of the program under test, and its command line.
type towline struct {
	t      testing.TB
	data   string
	listen string   // the same after each start: images are named by its port
	args   []string // further arguments of the server
	env    []string

	server *exec.Cmd
	log    bytes.Buffer
}

// needCluster fails a test that has no cluster to run on.
func needCluster(t *testing.T) {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Fatal(`KUBECONFIG is not set: run "make test", or export KUBECONFIG=$(towline cluster kubeconfig) first`)
	}
}

// start brings up a server with a data directory of its own, which ends with
// the test.
func start(t testing.TB, args ...string) *towline {
	t.Helper()
	s := prepare(t, args...)
	s.up()
	return s
}

// prepare is a server that does not run yet, with a data directory of its own.
func prepare(t testing.TB, args ...string) *towline {
	t.Helper()
	s := &towline{t: t, data: filepath.Join(t.TempDir(), "data"), listen: freeAddress(t), args: args, env: append(os.Environ(), "GIT_TERMINAL_PROMPT=0")}
	t.Cleanup(func() {
		s.kill(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("server log:\n%s", s.log.String())
		}
	})
	return s
}

// freeAddress returns an address that nobody listens on now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// up starts the server process and waits until it answers.
func (s *towline) up() {
	s.t.Helper()
	s.server = exec.Command(program, append([]string{"server", "--data", s.data, "--listen", s.listen}, s.args...)...)
	s.server.Env = s.env
	s.server.Stdout, s.server.Stderr = &s.log, &s.log
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	waittest.Until(s.t, "the server answers", func() bool {
		endpoint, token, err := config.ReadEndpoint(s.data)
		if err != nil || endpoint.PID != s.server.Process.Pid {
			return false
		}
		_, err = client.New(endpoint.URL, token).Version(s.t.Context())
		return err == nil
	})
}

// kill ends the server process and waits for it.
func (s *towline) kill(signal syscall.Signal) {
	if s.server == nil {
		return
	}
	_ = s.server.Process.Signal(signal)
	_ = s.server.Wait()
	s.server = nil
}

func (s *towline) api() *client.Client {
	s.t.Helper()
	endpoint, token, err := config.ReadEndpoint(s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	return client.New(endpoint.URL, token)
}

// run runs one command line and returns what it printed and its exit code.
func (s *towline) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, append([]string{"--data", s.data}, args...)...)
	cmd.Env = s.env
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("towline %v: %v", args, err)
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// repository creates a repository on the server and a clone of it whose files
// are those given, by path.
func (s *towline) repository(name string, files map[string]string) *clone {
	s.t.Helper()
	r, err := s.api().CreateRepository(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &clone{s: s, dir: filepath.Join(s.t.TempDir(), name), name: name}
	c.git("init", "-q", "-b", "main", c.dir)
	c.git("-C", c.dir, "config", "user.name", "t")
	c.git("-C", c.dir, "config", "user.email", "t@example.com")
	c.git("-C", c.dir, "remote", "add", "origin", r.URL)
	c.write(files)
	return c
}

// clone is a working tree of a repository on the server.
type clone struct {
	s    *towline
	dir  string
	name string
}

func (c *clone) write(files map[string]string) {
	c.s.t.Helper()
	for name, text := range files {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.s.t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			c.s.t.Fatal(err)
		}
	}
}

// push commits everything, pushes it, and returns the execution that it
// started.
func (c *clone) push(message string) client.Execution {
	c.s.t.Helper()
	c.git("-C", c.dir, "add", "-A")
	c.git("-C", c.dir, "commit", "-q", "--allow-empty", "-m", message)
	c.git("-C", c.dir, "push", "-q", "origin", "main")
	last, err := c.s.api().Executions(c.s.t.Context(), c.name, 0, 1)
	if err != nil || len(last) == 0 {
		c.s.t.Fatalf("the push started nothing: %v", err)
	}
	return last[0]
}

func (c *clone) git(args ...string) string {
	c.s.t.Helper()
	_, token, err := config.ReadEndpoint(c.s.data)
	if err != nil {
		c.s.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.s.t.Context(), "git", args...)
	cmd.Env = append(slices.Clip(c.s.env), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Bearer "+token)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// await waits until an execution has ended, whatever becomes of the server
// meanwhile.
func (s *towline) await(id string) client.Execution {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	var last client.Execution
	if err := s.api().Watch(ctx, id, func(e client.Execution) error { last = e; return nil }); err != nil {
		s.t.Fatalf("await %s: %v\n%s", id, err, describe(last))
	}
	return last
}

// succeeded fails the test unless the execution has succeeded.
func (s *towline) succeeded(e client.Execution) {
	s.t.Helper()
	if e.Status != pipeline.ExecutionSucceeded {
		s.t.Fatalf("%s is %s:\n%s", e.ID, e.Status, describe(e))
	}
}

func describe(e client.Execution) string {
	text, _ := json.MarshalIndent(e.Stages, "", "  ")
	return string(text)
}

// action finds an action of an execution.
func action(t testing.TB, e client.Execution, name string) pipeline.ActionState {
	t.Helper()
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Name == name {
				return a
			}
		}
	}
	t.Fatalf("%s has no action %s", e.ID, name)
	return pipeline.ActionState{}
}

// example is an application of examples/, moved to a namespace and a pipeline
// of its own.
func example(t *testing.T, name, as string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := filepath.Join("..", "examples", name)
	tracked, err := exec.Command("git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(tracked)) {
		path = strings.TrimSpace(path)
		text, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed but not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(text)
	}
	definition := strings.ReplaceAll(files["towline.yaml"], "pipeline: "+pipelineOf(name), "pipeline: "+as)
	files["towline.yaml"] = strings.ReplaceAll(definition, "namespace: "+pipelineOf(name), "namespace: "+as)
	return files
}

func pipelineOf(example string) string { return strings.TrimPrefix(example, "go-") }

// unique is a name that no other test has: for a repository, a pipeline and a
// namespace, which is deleted at the end.
func unique(t *testing.T, prefix string) string {
	t.Helper()
	needCluster(t)
	name := fmt.Sprintf("%s-%s", prefix, strings.ToLower(rand.Text()[:6]))
	cluster := kubetest.Connect(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := cluster.Delete(ctx, namespaceRef(name), ""); err != nil {
			t.Error(err)
		}
	})
	return name
}

func namespaceRef(name string) kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: name}
}

// phase is the phase of a namespace, or "" when it is gone.
func phase(t *testing.T, name string) string {
	t.Helper()
	namespace, err := kubetest.Connect(t).Get(t.Context(), namespaceRef(name))
	if kube.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	found, _, _ := unstructured.NestedString(namespace.Object, "status", "phase")
	return found
}
