// Package e2e runs the real program against real parts, as its users do: as
// transcripts of commands (testdata/script), and as whole deliveries to the
// cluster that KUBECONFIG names.
package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/towline/towline/internal/waittest"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// program is the path of the program under test, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	// The tests wait for servers and pods most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "towline-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "towline")
	build := exec.Command("go", "build", "-o", program, "../cmd/towline")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // It is also what the agent's image is made of.
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build towline:", err)
		return 1
	}
	return m.Run()
}

func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TOWLINE_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("GIT_TERMINAL_PROMPT", "0")
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "no-kubeconfig"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serving":     serving,
			"git-init":    gitInit,
			"cluster":     onCluster,
			"base-layout": baseLayout,
			"eventually": func(ts *testscript.TestScript, _ bool, args []string) {
				eventuallyExec(ts, args)
			},
		},
	})
}

// serving waits until the server whose data directory is $TOWLINE_DATA (or the
// argument) answers.
func serving(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.Getenv("TOWLINE_DATA")
	if len(args) > 0 {
		data = ts.MkAbs(args[0])
	}
	answers := func() bool { return exec.Command(program, "--data", data, "pipeline", "list").Run() == nil }
	if !waittest.Poll(context.Background(), answers) {
		ts.Fatalf("no server answers for %s", data)
	}
}

// gitInit DIR REPOSITORY makes DIR a clone with everything in it committed,
// and its remote the server's repository, to which git can sign in.
func gitInit(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	out, err := exec.Command(program, "--data", ts.Getenv("TOWLINE_DATA"), "repository", "create", args[1]).Output()
	ts.Check(err)
	helper := fmt.Sprintf("!'%s' --data '%s' git-credential", program, ts.Getenv("TOWLINE_DATA"))
	for _, git := range [][]string{
		{"init", "-q", "-b", "main"}, {"config", "user.name", "t"}, {"config", "user.email", "t@example.com"},
		{"config", "credential.helper", helper},
		{"remote", "add", "origin", strings.TrimSpace(string(out))},
		{"add", "-A"}, {"commit", "-q", "-m", "First"},
	} {
		cmd := exec.Command("git", append([]string{"-C", dir}, git...)...)
		cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("git %v: %v\n%s", git, err, out)
		}
	}
}

// eventuallyExec runs a command until it succeeds.
func eventuallyExec(ts *testscript.TestScript, args []string) {
	var err error
	succeeds := func() bool {
		err = ts.Exec(args[0], args[1:]...)
		return err == nil
	}
	if !waittest.Poll(context.Background(), succeeds) {
		ts.Fatalf("%v: %v", args, err)
	}
}
