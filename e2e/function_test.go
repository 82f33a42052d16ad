package e2e_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// function builds the function of testdata and keeps it on the server.
func (s *towline) function(name string) {
	s.t.Helper()
	dir := s.t.TempDir()
	cmd := exec.CommandContext(s.t.Context(), "go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/function")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	if _, stderr, code := s.run("function", "put", name, "--runtime", "provided.al2023", "--dir", dir, "--timeout", "5m"); code != 0 {
		s.t.Fatal(stderr)
	}
}

// invoking is a pipeline that invokes a function and uses what it made.
const invoking = `pipeline: app
stages:
  - name: Invoke
    actions:
      - {name: greet, invoke: {function: worker, parameters: PARAMETERS}, inputs: [source], outputs: [greeting]}
  - name: Use
    actions:
      - name: use
        build: {commands: ["grep '^Hello Ada$' greeting.txt", "test '#{greet.Greeting}' = 'Hello Ada'"]}
        inputs: [greeting]
`

// asked is a pipeline that only invokes a function.
const asked = `pipeline: app
stages:
  - name: Invoke
    actions:
      - {name: greet, invoke: {function: worker, parameters: PARAMETERS}}
`

func withParameters(definition, parameters string) map[string]string {
	return map[string]string{"README": "Ada\n", "towline.yaml": strings.ReplaceAll(definition, "PARAMETERS", parameters)}
}

// logOf is the log of an action.
func (s *towline) logOf(e client.Execution, action string) string {
	s.t.Helper()
	out, stderr, code := s.run("logs", e.ID, action)
	if code != 0 {
		s.t.Fatal(stderr)
	}
	return out
}

func TestFunctionsWorkOnActions(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.function("worker")
	repo := s.repository("app", withParameters(invoking, "make"))

	t.Log("it reads an artifact, makes another, and sets a variable")
	e := s.await(repo.push("First").ID)
	s.succeeded(e)
	if a := action(t, e, "greet"); a.Result.Summary != "greeted Ada" || a.Result.Variables["Greeting"] != "Hello Ada" {
		t.Errorf("result %+v", a.Result)
	}
	if log := s.logOf(e, "greet"); !strings.Contains(log, "START RequestId") || !strings.Contains(log, "works on make") || !strings.Contains(log, "REPORT RequestId") {
		t.Error(log)
	}

	t.Log("it goes on with its token")
	repo.write(withParameters(asked, "continue"))
	e = s.await(repo.push("Second").ID)
	s.succeeded(e)
	if log := s.logOf(e, "greet"); !strings.Contains(log, "works on continue token \n") && !strings.Contains(log, "works on continue token half") {
		t.Error(log)
	}

	t.Log("it fails the action")
	repo.write(withParameters(asked, "refuse"))
	e = s.await(repo.push("Third").ID)
	if a := action(t, e, "greet"); e.Status != pipeline.ExecutionFailed || a.Result.Outcome != pipeline.Failed || a.Result.Message != "JobFailed: it is Friday" {
		t.Errorf("%s, result %+v", e.Status, a.Result)
	}
}

func TestAFunctionAnswersARule(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.function("worker")
	const ruled = `pipeline: app
stages:
  - name: Invoke
    beforeEntry: {rules: [{name: ask, invoke: {function: worker, parameters: PARAMETERS}}]}
    actions:
      - {name: unit, build: {commands: ["true"]}}
`
	repo := s.repository("app", withParameters(ruled, "yes"))
	s.succeeded(s.await(repo.push("First").ID))
	repo.write(withParameters(ruled, "refuse"))
	if e := s.await(repo.push("Second").ID); e.Status != pipeline.ExecutionFailed || !strings.Contains(describe(e), "it is Friday") {
		t.Error(e.Status, describe(e))
	}
}

func TestAFunctionOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.function("worker")
	gate := filepath.Join(outside(), "towline-"+rand.Text())
	t.Cleanup(func() { _ = os.Remove(gate) })
	repo := s.repository("app", withParameters(asked, "wait "+gate))
	e := repo.push("First")
	waittest.Until(t, "the function runs", func() bool {
		out, _, code := s.run("logs", e.ID, "greet")
		return code == 0 && strings.Contains(out, "works on wait")
	})
	s.kill(syscall.SIGKILL)
	s.up()
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	e = s.await(e.ID)
	s.succeeded(e)
	if log := s.logOf(e, "greet"); strings.Count(log, "START RequestId") != 1 {
		t.Errorf("it was not invoked once:\n%s", log)
	}
}

func TestAFunctionMayDoNothingElse(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.function("worker")
	repo := s.repository("app", withParameters(asked, "steal"))
	e := repo.push("First")
	log := ""
	waittest.Until(t, "the function has tried", func() bool {
		out, _, code := s.run("logs", e.ID, "greet")
		log = out
		return code == 0 && strings.Contains(out, "again in 1m")
	})
	for _, what := range []string{"pipelines:", "buckets:", "job:"} {
		for line := range strings.Lines(log) {
			if strings.Contains(line, what) && (strings.Contains(line, "<nil>") || !strings.Contains(line, "Denied") && !strings.Contains(line, "NotFound")) {
				t.Error(line)
			}
		}
	}
	if _, stderr, code := s.run("stop", e.ID, "--abandon"); code != 0 {
		t.Error(stderr)
	}
}

// outside is a directory that functions see as the machine does: where they have
// a user of their own they have a /tmp and a /var/tmp of their own, too.
func outside() string {
	if os.Geteuid() == 0 {
		return "/run"
	}
	return os.TempDir()
}
