package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// TestDemo runs the demo as a script would and checks the document that it
// prints, which is a contract, against the application itself.
func TestDemo(t *testing.T) {
	t.Parallel()
	needCluster(t)
	demoNamespace.Lock()
	defer demoNamespace.Unlock()
	data := t.TempDir()
	keep := warm(t, "demo", filepath.Join(data, "demo"), "web")
	cmd := exec.CommandContext(t.Context(), program, "--data", data, "demo", "--once", "-o", "json", "--listen", "127.0.0.1:0")
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("towline demo: %v\n%s", err, talk.String())
	}
	var got struct {
		Pipeline, Execution, Status, Image, URL string
		Stages                                  []struct {
			Name    string
			Actions []struct {
				Name, Provider, Status string
				Seconds                float64
			}
		}
		Deployment struct {
			Strategy, Method string
			Revision         int
			Seconds          float64
		}
		Verdict, Load   pipeline.Verdict
		OverheadSeconds *float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Pipeline != "web" || got.Execution != "web-2" || got.Status != "Succeeded" || got.OverheadSeconds == nil {
		t.Errorf("execution: %s", out)
	}
	var actions []string
	for _, s := range got.Stages {
		for _, a := range s.Actions {
			actions = append(actions, s.Name+"/"+a.Provider+" "+a.Status)
		}
	}
	want := "Source/Git Succeeded, Test/Buildspec Succeeded, Package/Buildspec Succeeded, Image/Image Succeeded, Deploy/Kubernetes Succeeded"
	if strings.Join(actions, ", ") != want {
		t.Errorf("actions %v", actions)
	}
	if got.Deployment.Strategy != "rolling" || got.Deployment.Method != "api" || got.Deployment.Revision != 2 {
		t.Errorf("deployment %+v", got.Deployment)
	}
	for name, v := range map[string]pipeline.Verdict{"deployment": got.Verdict, "demo": got.Load} {
		if v.Lost != 0 || v.Requests < 100 || v.Rate < 90 {
			t.Errorf("the verdict of the %s: %s at %.0f/s, losses %v", name, v, v.Rate, v.Losses)
		}
	}
	if !strings.Contains(got.Image, "/web@sha256:") {
		t.Errorf("image %q", got.Image)
	}
	body := get(t, got.URL)
	if !strings.HasPrefix(body, "Bonjour from commit ") {
		t.Errorf("the application says %q", body)
	}
	keep()
	demoDown(t, data)
}

// demoDown takes the demo down and checks that it has left nothing.
func demoDown(t *testing.T, data string) {
	t.Helper()
	endpoint, _, err := config.ReadEndpoint(filepath.Join(data, "demo"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "--data", data, "demo", "down").CombinedOutput(); err != nil {
		t.Fatalf("demo down: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(data, "demo")); !os.IsNotExist(err) {
		t.Errorf("the data is still there: %v", err)
	}
	if resp, err := http.Get(endpoint.URL); err == nil {
		_ = resp.Body.Close()
		t.Errorf("the server still answers at %s", endpoint.URL)
	}
	if got := phase(t, "web"); got != "" && got != "Terminating" {
		t.Errorf("the namespace is still there: %s", got)
	}
	waittest.Until(t, "the namespace is gone", func() bool { return phase(t, "web") == "" })
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// TestJavaApplicationIsDelivered delivers the Java example: JDBC tests against
// PostgreSQL, a jar on a JRE base, three pods.
func TestJavaApplicationIsDelivered(t *testing.T) {
	t.Parallel()
	name := unique(t, "java")
	s := start(t)
	e := s.await(s.repository(name, example(t, "java-web", name)).push("First").ID)
	s.succeeded(e)
	if tests := action(t, e, "jdbc").Result.Tests; tests == nil || tests.Passed == 0 || tests.Failed > 0 {
		t.Errorf("tests %+v", tests)
	}
	d := action(t, e, "production").Result.Deployment
	if d == nil || d.Verdict == nil || d.Verdict.Lost > 0 || d.URL == "" {
		t.Fatalf("deployment %+v", d)
	}
	if body := get(t, d.URL); body == "" {
		t.Error("the application says nothing")
	}
}

// TestFailingTestKeepsTheOldRelease pushes a commit whose test fails: it is
// named, nothing is deployed, and what ran goes on. Then the release is rolled
// back from the cluster alone.
func TestFailingTestKeepsTheOldRelease(t *testing.T) {
	t.Parallel()
	name := unique(t, "red")
	s := start(t)
	keep := warm(t, "red", s.data, name)
	files := compiled(t, name, true)
	repo := s.repository(name, files)
	first := s.await(repo.push("First").ID)
	s.succeeded(first)
	url := action(t, first, "production").Result.Deployment.URL

	repo.write(map[string]string{"site.go": strings.Replace(files["site.go"], "Hello", "Wrong", 1),
		"red_test.go": "package main\n\nimport \"testing\"\n\nfunc TestGreetingIsPolite(t *testing.T) {\n\tif greeting == \"Wrong\" {\n\t\tt.Fatal(\"not polite\")\n\t}\n}\n"})
	red := s.await(repo.push("Be rude").ID)
	unit := action(t, red, "unit")
	if red.Status != pipeline.ExecutionFailed || unit.Status != pipeline.StatusFailed || !strings.Contains(unit.Result.Message, "TestGreetingIsPolite") {
		t.Errorf("status %s, message %q", red.Status, unit.Result.Message)
	}
	if got := action(t, red, "production").Status; got != pipeline.StatusPending {
		t.Errorf("deployment is %s", got)
	}
	if body := get(t, url); !strings.HasPrefix(body, "Hello ") {
		t.Errorf("the application says %q", body)
	}

	repo.write(map[string]string{"site.go": strings.Replace(files["site.go"], "Hello", "Salut", 1)})
	s.succeeded(s.await(repo.push("Be French").ID))
	s.kill(9)
	out, talk, code := s.run("rollback", name, "-o", "json")
	var d pipeline.Deployment
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || d.Revision != 3 || d.Outcome != pipeline.Succeeded {
		t.Fatalf("rollback: code %d, %v\n%s%s", code, err, out, talk)
	}
	if body := get(t, url); !strings.HasPrefix(body, "Hello ") {
		t.Errorf("after the rollback the application says %q", body)
	}
	if out, talk, code := s.run("deployments", name); code != 0 || strings.Count(out, name) < 3 {
		t.Errorf("deployments: code %d\n%s%s", code, out, talk)
	}
	keep()
}
