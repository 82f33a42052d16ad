package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	enginetest.Exercise(t, engine.New)
}

// TestKilledProcessGoesOn runs an engine in a child process that is killed in
// the middle of each action, and starts it again until the execution has
// ended: each action then ran to its end, and no other than those that were
// running at a kill ran again.
func TestKilledProcessGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kills := 0
	for {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
		cmd.Env = append(os.Environ(), "TOWLINE_ENGINE_DIR="+dir)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && kills < 10 {
			kills++
			continue
		}
		if err != nil {
			t.Fatalf("child after %d kills: %v\n%s", kills, err, out)
		}
		break
	}
	ran, err := os.ReadFile(dir + "/ran")
	if err != nil {
		t.Fatal(err)
	}
	// The kill in c may come after b has ended and before that is recorded, and
	// the other way round: at least once is what an action is promised.
	for action, most := range map[string]int{"a": 1, "b": 2, "c": 2, "d": 1} {
		if began, ended := strings.Count(string(ran), "begin "+action), strings.Count(string(ran), "end "+action); ended < 1 || ended > most || began < 2 {
			t.Errorf("action %s began %d times and ended %d times", action, began, ended)
		}
	}
	// b and c run together, so one kill may hit both.
	if kills < 3 || kills > 4 {
		t.Errorf("killed %d times, want once in each stage or action", kills)
	}
}

// TestChild is the child of TestKilledProcessGoesOn. It does nothing else.
func TestChild(t *testing.T) {
	dir := os.Getenv("TOWLINE_ENGINE_DIR")
	if dir == "" {
		return
	}
	note := func(format string, args ...any) {
		f, err := os.OpenFile(dir+"/ran", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, format+"\n", args...)
		_ = f.Close()
	}
	e, err := engine.New(t.Context(), enginetest.Config(t, dir, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		note("begin %s", job.Action.Name)
		if err := os.Mkdir(job.Dir+"/been-here", 0o700); err == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		note("end %s", job.Action.Name)
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := "web-1"
	if _, err := e.Store.Execution(t.Context(), id); err != nil {
		enginetest.Begin(t, e, enginetest.Stages([]string{"a"}, []string{"b", "c"}, []string{"d"}))
	}
	if x := enginetest.Await(t, e, id); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s", x.Status)
	}
}
