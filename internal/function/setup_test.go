package function_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/function"
)

// runnerCommand makes the test binary the runner of an invocation.
const runnerCommand = "function-runner"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == runnerCommand {
		os.Exit(function.RunnerMain(context.Background(), os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// users counts the user IDs that are given out.
var users atomic.Int32

// machine is a runner with the artifacts that its functions' code comes from.
type machine struct {
	*function.Runner
	artifacts *artifact.Store
	dir       string
}

func setup(t *testing.T, change ...func(*function.Config)) *machine {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} { // users pass through
		if err := os.Chmod(path, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	artifacts, err := artifact.Open(t.Context(), filepath.Join(dir, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = artifacts.Close() })
	config := function.Config{
		Program: []string{os.Args[0], runnerCommand}, Dir: filepath.Join(dir, "functions"), Code: artifacts,
		UID:      61000 + int(users.Add(50)), // what one machine's functions count is not another's
		Endpoint: func() string { return "http://127.0.0.1:8480" }, Environ: append(os.Environ(), "TOWLINE_TEST_SECRET=x"),
	}
	for _, c := range change {
		c(&config)
	}
	runner, err := function.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{Runner: runner, artifacts: artifacts, dir: dir}
}

// files is the code of a function, by path. A path that ends in ! is
// executable.
type files map[string]string

// put keeps code and makes a function of it.
func (m *machine) put(t *testing.T, runtime, handler string, code files) function.Function {
	t.Helper()
	dir := t.TempDir()
	for name, text := range code {
		mode := os.FileMode(0o644)
		if name, ok := strings.CutSuffix(name, "!"); ok {
			write(t, filepath.Join(dir, name), text, 0o755)
			continue
		}
		write(t, filepath.Join(dir, name), text, mode)
	}
	return m.putDir(t, runtime, handler, dir)
}

func (m *machine) putDir(t *testing.T, runtime, handler, dir string) function.Function {
	t.Helper()
	digest, size, err := m.artifacts.Pack(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := function.Function{
		Name: "f", Runtime: runtime, Handler: handler, Timeout: time.Minute, Memory: 512, Code: digest, Size: size, Revision: 1,
	}
	if problems := f.Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := m.Ready(f); err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// invocation is a new one.
func (m *machine) invocation(t *testing.T, f function.Function, event string) function.Invocation {
	t.Helper()
	id := function.NewID()
	dir := filepath.Join(m.dir, "invocations", id)
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return function.Invocation{ID: id, Function: f, Event: json.RawMessage(event), Dir: dir, LogFiles: []string{filepath.Join(m.dir, id+".log")}}
}

// invoke gives an event and returns the outcome and the log.
func (m *machine) invoke(t *testing.T, f function.Function, event string) (function.Outcome, string) {
	t.Helper()
	in := m.invocation(t, f, event)
	outcome, err := m.Invoke(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return outcome, logOf(t, in)
}

func logOf(t *testing.T, in function.Invocation) string {
	t.Helper()
	text, err := os.ReadFile(in.LogFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// need fails when a system program is missing, and says which package has it.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("this test needs %s: install %s (scripts/deps test does)", program, debian)
	}
}

// run runs a program of the test's own.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
