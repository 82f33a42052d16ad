package enginetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
)

// succeed is an action that has nothing to do.
func succeed(context.Context, pipeline.Job) (pipeline.Result, error) {
	return pipeline.Result{Outcome: pipeline.Succeeded}, nil
}

// restart stops an engine and starts another one over the same database.
func restart(t *testing.T, newEngine New, e *engine.Engine, act ActionFunc) *engine.Engine {
	t.Helper()
	if err := e.Stop(patience); err != nil {
		t.Fatal(err)
	}
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	return started(t, newEngine, Config(t, e.Dir, act))
}

func approval(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), succeed))
	p := Stages([]string{"a"}, []string{"ok", "b"})
	p.Stages[1].Actions[0].Type = pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}
	p.Stages[1].Actions[1].RunOrder = 2
	id := Begin(t, e, p).ID
	waits := func(x pipeline.Execution) bool { return x.Stages[1].Actions[0].Status == pipeline.StatusInProgress }
	until(t, e, id, waits)
	e = restart(t, newEngine, e, succeed)
	x := until(t, e, id, waits)
	decision := pipeline.Approved{Execution: id, Stage: "S2", Action: "ok", Yes: true, By: "ann", Token: "old"}
	if err := e.Approve(t.Context(), decision); !errors.Is(err, pipeline.ErrBadToken) {
		t.Errorf("a wrong token: %v", err)
	}
	decision.Token = pipeline.ApprovalToken(id, "S2", x.Stages[1].Actions[0].Attempt, "ok")
	if err := e.Approve(t.Context(), decision); err != nil {
		t.Fatal(err)
	}
	x = Await(t, e, id)
	if got := x.Stages[1].Actions; x.Status != pipeline.ExecutionSucceeded || got[0].By != "ann" || got[1].Status != pipeline.StatusSucceeded {
		t.Errorf("%s: %+v", x.Status, got)
	}
	if err := e.Approve(t.Context(), decision); !errors.Is(err, pipeline.ErrAlreadyDecided) {
		t.Errorf("a second decision: %v", err)
	}
}

func abandon(t *testing.T, newEngine New) {
	running, cause := make(chan struct{}), make(chan error, 1)
	config := Config(t, t.TempDir(), func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		close(running)
		<-ctx.Done()
		_, err := os.Stat(job.Dir) // What has been started is found by it.
		cause <- errors.Join(context.Cause(ctx), err)
		return pipeline.Result{}, ctx.Err()
	})
	said, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	config.Logger = slog.New(slog.NewTextHandler(said, nil))
	e := started(t, newEngine, config)
	id := Begin(t, e, Stages([]string{"a"})).ID
	<-running
	if err := e.StopExecution(t.Context(), id, true, "wrong branch"); err != nil {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, pipeline.ErrAbandoned) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("interrupted because of %v", err)
	}
	eventually(t, "the working directory is gone", func() bool {
		_, err := os.Stat(e.Dir + "/work/" + id)
		return os.IsNotExist(err)
	})
	x := Await(t, e, id)
	if x.Status != pipeline.ExecutionStopped || x.Reason != "wrong branch" || x.Stages[0].Actions[0].Status != pipeline.StatusAbandoned {
		t.Errorf("%+v", x)
	}
	if err := e.StopExecution(t.Context(), id, true, ""); !errors.Is(err, pipeline.ErrNotStoppable) {
		t.Errorf("stopping it again: %v", err)
	}
	// It is nobody's fault, neither in the action's log nor in the server's.
	log, err := os.ReadFile(e.LogFile(id, "S1", 1, "a"))
	if err != nil || string(log) != "Abandoned\n" {
		t.Errorf("the action's log is %q, %v", log, err)
	}
	server, err := os.ReadFile(said.Name())
	if err != nil || strings.Contains(string(server), "level=ERROR") || !strings.Contains(string(server), "action abandoned") {
		t.Errorf("the server's log is %s, %v", server, err)
	}
}

// crash ends an engine as a crash does that comes between a commit and what
// follows of it: an engine that is not started commits, and interrupts nothing.
func crash(t *testing.T, newEngine New, e *engine.Engine, commit func(*engine.Engine) error) {
	t.Helper()
	if err := e.Stop(patience); err != nil {
		t.Fatal(err)
	}
	_ = e.Store.Close()
	idle := Config(t, e.Dir, succeed)
	still, err := newEngine(t.Context(), idle)
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(still); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(still.Stop(patience), idle.Store.Close()); err != nil {
		t.Log(err) // Stopping may have closed the database already.
	}
}

// abandonedInACrash loses the process between the commit of an abandonment and
// the interruption of what it is about.
func abandonedInACrash(t *testing.T, newEngine New) {
	running := make(chan struct{})
	e := started(t, newEngine, Config(t, t.TempDir(), func(ctx context.Context, _ pipeline.Job) (pipeline.Result, error) {
		close(running)
		<-ctx.Done()
		return pipeline.Result{}, ctx.Err()
	}))
	id := Begin(t, e, Stages([]string{"a"})).ID
	<-running
	crash(t, newEngine, e, func(still *engine.Engine) error { return still.StopExecution(t.Context(), id, true, "") })
	// What the action has left, which the engine of this test has removed, and
	// an execution that ended as another process died.
	left := e.Dir + "/work/gone-1"
	for _, dir := range []string{left + "/S1.1.a", e.Dir + "/work/" + id + "/S1.1.a/started"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cause := make(chan error, 1)
	started(t, newEngine, Config(t, e.Dir, func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		<-ctx.Done()
		_, err := os.Stat(job.Dir + "/started") // What has been started is found by it.
		cause <- errors.Join(context.Cause(ctx), err)
		return pipeline.Result{}, ctx.Err()
	}))
	select {
	case err := <-cause:
		if !errors.Is(err, pipeline.ErrAbandoned) || errors.Is(err, os.ErrNotExist) {
			t.Errorf("interrupted because of %v", err)
		}
	case <-time.After(patience):
		t.Error("it was not run again to be interrupted")
	}
	for _, dir := range []string{left, e.Dir + "/work/" + id} {
		eventually(t, dir+" is gone", func() bool {
			_, err := os.Stat(dir)
			return os.IsNotExist(err)
		})
	}
}

func retry(t *testing.T, newEngine New) {
	var mu sync.Mutex
	var ran []string
	broken := true
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, job.Key())
		if job.Action.Name == "b" && broken {
			return pipeline.Fail("no"), nil
		}
		return pipeline.Result{Outcome: pipeline.Succeeded, Artifacts: []pipeline.Artifact{{Name: job.Action.Name}}}, nil
	}))
	p := Stages([]string{"a"}, []string{"b", "c"})
	p.Stages[1].Actions[0].Inputs = []string{"a"}
	id := Begin(t, e, p).ID
	Await(t, e, id)
	mu.Lock()
	broken = false
	mu.Unlock()
	if err := e.Retry(t.Context(), id, "S2", pipeline.RetryFailedActions); err != nil {
		t.Fatal(err)
	}
	x := until(t, e, id, func(x pipeline.Execution) bool { return x.Status == pipeline.ExecutionSucceeded })
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(ran)
	if diff := cmp.Diff([]string{"web-1.S1.1.a", "web-1.S2.1.b", "web-1.S2.1.c", "web-1.S2.2.b"}, ran); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	if got := len(x.Artifacts()); got != 3 {
		t.Errorf("%d artifacts: %v", got, x.Artifacts())
	}
	if err := e.Retry(t.Context(), id, "S2", pipeline.RetryFailedActions); !errors.Is(err, pipeline.ErrNotRetryable) {
		t.Errorf("retrying what succeeded: %v", err)
	}
}

func rollback(t *testing.T, newEngine New) {
	var mu sync.Mutex
	deployed := map[string]string{} // what each execution deployed
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Action.Name == "a" {
			return pipeline.Result{
				Outcome: pipeline.Succeeded, Variables: map[string]string{"URI": "image-of-" + job.Execution},
				Artifacts: []pipeline.Artifact{{Name: "app", Digest: "sha256:" + job.Execution}},
			}, nil
		}
		mu.Lock()
		defer mu.Unlock()
		deployed[job.Execution] = job.Inputs[0].Digest + " " + string(job.Configuration)
		if job.Execution == "web-2" {
			return pipeline.Fail("requests were lost"), nil
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	p := Stages([]string{"a"}, []string{"deploy"})
	p.Stages[1].Actions[0].Inputs = []string{"app"}
	p.Stages[1].Actions[0].Configuration = []byte(`{"image":"#{a.URI}"}`)
	p.Stages[1].OnFailure = &pipeline.Condition{Result: pipeline.ResultRollback}
	Await(t, e, Begin(t, e, p).ID)
	if x := Await(t, e, Begin(t, e, p).ID); x.Status != pipeline.ExecutionFailed {
		t.Errorf("%s is %s", x.ID, x.Status)
	}
	back := Await(t, e, "web-3")
	if back.Type != pipeline.ExecutionRollback || back.Target != "web-1" || back.Trigger.Type != pipeline.TriggerAutomatedRollback || back.Status != pipeline.ExecutionSucceeded {
		t.Errorf("%+v", back)
	}
	mu.Lock()
	if deployed["web-3"] != deployed["web-1"] || deployed["web-1"] == "" {
		t.Errorf("deployed %v", deployed)
	}
	mu.Unlock()
	// By hand it is the one before that which is there now: a rollback to web-1.
	manual := engine.RollbackRequest{Pipeline: "web", Stage: "S2", Trigger: pipeline.Trigger{Type: pipeline.TriggerManualRollback}}
	if _, err := e.RollBack(t.Context(), manual); !errors.Is(err, pipeline.ErrNoRollback) {
		t.Errorf("with nothing before it: %v", err)
	}
	good := Await(t, e, Begin(t, e, p).ID)
	by, err := e.RollBack(t.Context(), manual)
	if err != nil || by.Target != "web-1" || good.Status != pipeline.ExecutionSucceeded {
		t.Fatalf("%v, %+v", err, by)
	}
	Await(t, e, by.ID)
	for _, target := range []string{"", "web-1"} {
		_, err := e.RollBack(t.Context(), engine.RollbackRequest{Pipeline: "web", Stage: "S9", Target: target})
		if !errors.Is(err, pipeline.ErrNoStage) || !strings.Contains(err.Error(), "which has S1, S2") {
			t.Errorf("rolling a stage back that there is not: %v", err)
		}
	}
	for stage, target := range map[string]string{"S1": "web-1", "S2": "web-2"} {
		if _, err := e.RollBack(t.Context(), engine.RollbackRequest{Pipeline: "web", Stage: stage, Target: target}); !errors.Is(err, pipeline.ErrNoRollback) {
			t.Errorf("rolling stage %s back to %s: %v", stage, target, err)
		}
	}
}

func rules(t *testing.T, newEngine New) {
	var mu sync.Mutex
	var asked []string
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Action.Type.Category == pipeline.CategoryRule {
			mu.Lock()
			asked = append(asked, job.Action.Name+" "+string(job.Configuration))
			mu.Unlock()
			return pipeline.Fail("outside of the window"), nil
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	p := Stages([]string{"a"}, []string{"a2"})
	p.Variables = []pipeline.Variable{{Name: "zone"}}
	p.Stages[1].BeforeEntry = &pipeline.Condition{Rules: []pipeline.Rule{{
		Name: "a2", Type: pipeline.ActionType{Category: pipeline.CategoryRule, Provider: "DeploymentWindow"}, Configuration: []byte(`{"TimeZone":"#{variables.zone}"}`),
	}}}
	if _, err := e.StartExecution(t.Context(), request(p, nil)); err == nil {
		t.Error("an execution without a value for its variable began")
	}
	x, err := e.StartExecution(t.Context(), request(p, map[string]string{"zone": "UTC"}))
	if err != nil {
		t.Fatal(err)
	}
	x = Await(t, e, x.ID)
	if x.Status != pipeline.ExecutionFailed || x.Stages[1].Actions[0].Status != pipeline.StatusPending {
		t.Errorf("%s: %+v", x.Status, x.Stages[1])
	}
	if err := e.Override(t.Context(), pipeline.Overridden{Execution: x.ID, Stage: "S2", Kind: pipeline.BeforeEntry, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	until(t, e, x.ID, func(x pipeline.Execution) bool { return x.Status == pipeline.ExecutionSucceeded })
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{`a2 {"TimeZone":"UTC"}`}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// sameName has a rule and an action of one name, which one worker runs one after
// the other.
func sameName(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), succeed))
	p := Stages([]string{"a"})
	rule := pipeline.Rule{Name: "a", Type: pipeline.ActionType{Category: pipeline.CategoryRule}}
	p.Stages[0].BeforeEntry = &pipeline.Condition{Rules: []pipeline.Rule{rule}}
	p.Stages[0].OnSuccess = &pipeline.Condition{Rules: []pipeline.Rule{rule}}
	if x := Await(t, e, Begin(t, e, p).ID); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s", x.Status)
	}
}

func timeout(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), func(ctx context.Context, _ pipeline.Job) (pipeline.Result, error) {
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > time.Minute {
			t.Errorf("deadline %v, %t", deadline, ok)
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	p := Stages([]string{"a"})
	p.Stages[0].Actions[0].Timeout = 1
	Await(t, e, Begin(t, e, p).ID)
}

// overrideInACrash sets a rule aside that runs, in an engine that dies before it
// has interrupted it: the next one must interrupt the rule alone, and not the
// action that follows.
func overrideInACrash(t *testing.T, newEngine New) {
	running := make(chan struct{})
	wait := func(ctx context.Context) (pipeline.Result, error) {
		<-ctx.Done()
		return pipeline.Result{}, ctx.Err()
	}
	e := started(t, newEngine, Config(t, t.TempDir(), func(ctx context.Context, _ pipeline.Job) (pipeline.Result, error) {
		close(running)
		return wait(ctx)
	}))
	p := Stages([]string{"deploy"})
	p.Stages[0].BeforeEntry = &pipeline.Condition{Rules: []pipeline.Rule{{Name: "smoke", Type: pipeline.ActionType{Category: pipeline.CategoryRule}}}}
	id := Begin(t, e, p).ID
	<-running
	crash(t, newEngine, e, func(still *engine.Engine) error {
		return still.Override(t.Context(), pipeline.Overridden{Execution: id, Stage: "S1", Kind: pipeline.BeforeEntry, By: "ann"})
	})
	dismissed, deployed := make(chan struct{}), make(chan error, 1)
	again := started(t, newEngine, Config(t, e.Dir, func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Action.Name == "smoke" {
			defer close(dismissed)
			return wait(ctx)
		}
		<-dismissed // so that an interruption of both would be seen
		deployed <- context.Cause(ctx)
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	if x := Await(t, again, id); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s: %+v", x.Status, x.Stages)
	}
	if err := <-deployed; err != nil {
		t.Errorf("the action was interrupted: %v", err)
	}
}

func transitions(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), succeed))
	p := Stages([]string{"a"}, []string{"b"})
	Await(t, e, Begin(t, e, p).ID)
	set := pipeline.TransitionSet{Transition: pipeline.Transition{Stage: "S2", Type: pipeline.Inbound, Reason: "freeze", By: "ann"}, Disabled: true}
	if err := e.SetTransition(t.Context(), "web", set); err != nil {
		t.Fatal(err)
	}
	id := Begin(t, e, p).ID
	held := func(x pipeline.Execution) bool {
		return x.Stages[0].Status == pipeline.StatusSucceeded && x.Stages[1].Status == pipeline.StatusPending
	}
	until(t, e, id, held)
	e = restart(t, newEngine, e, succeed)
	until(t, e, id, held)
	set.Disabled = false
	if err := e.SetTransition(t.Context(), "web", set); err != nil {
		t.Fatal(err)
	}
	if x := Await(t, e, id); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s", x.Status)
	}
	p.Mode = pipeline.ModeParallel
	Await(t, e, Begin(t, e, p).ID)
	if err := e.SetTransition(t.Context(), "web", set); !errors.Is(err, pipeline.ErrNoTransitions) {
		t.Errorf("of executions in parallel: %v", err)
	}
	set.Stage = "S9"
	if err := e.SetTransition(t.Context(), "web", set); !errors.Is(err, pipeline.ErrNoStage) {
		t.Errorf("a stage that there is not: %v", err)
	}
}
