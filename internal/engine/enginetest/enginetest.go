// Package enginetest is what any engine must do, whatever makes it durable.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// New makes an engine that has not been started.
type New func(context.Context, engine.Config) (*engine.Engine, error)

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// ActionFunc is an engine.Action made of a function.
type ActionFunc func(context.Context, pipeline.Job) (pipeline.Result, error)

// Run calls the function.
func (f ActionFunc) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	return f(ctx, job)
}

// Config is a configuration over a fresh database in dir, whose actions are
// all carried out by act.
func Config(tb testing.TB, dir string, act ActionFunc) engine.Config {
	tb.Helper()
	db, err := store.Open(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return engine.Config{
		Store: db, Dir: dir, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Action: func(pipeline.ActionType) (engine.Action, bool) { return act, act != nil },
		OpenLog: func(path string) (io.WriteCloser, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		},
	}
}

// Stages makes a pipeline "web": a stage per argument, whose actions run in
// parallel.
func Stages(stages ...[]string) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: "web"}
	for i, actions := range stages {
		stage := pipeline.Stage{Name: fmt.Sprintf("S%d", i+1)}
		for _, name := range actions {
			stage.Actions = append(stage.Actions, pipeline.Action{Name: name, RunOrder: 1})
		}
		p.Stages = append(p.Stages, stage)
	}
	return p
}

// Begin starts an execution of p.
func Begin(tb testing.TB, e *engine.Engine, p pipeline.Pipeline) pipeline.Execution {
	tb.Helper()
	x, err := e.StartExecution(tb.Context(), request(p, nil))
	if err != nil {
		tb.Fatal(err)
	}
	if x.Status != pipeline.ExecutionInProgress || len(x.Stages) == 0 {
		tb.Fatalf("a new execution is %q with %d stages", x.Status, len(x.Stages))
	}
	return x
}

// request asks for an execution of p, which is defined with it.
func request(p pipeline.Pipeline, variables map[string]string) engine.StartRequest {
	return engine.StartRequest{
		Pipeline: p.Name, Revision: pipeline.Revision{Commit: "0123456789"}, Variables: variables,
		Also: func(ctx context.Context, q store.Querier) error {
			return store.PutPipeline(ctx, q, p, "web", time.Now())
		},
	}
}

// Await waits until the execution has ended.
func Await(tb testing.TB, e *engine.Engine, id string) pipeline.Execution {
	tb.Helper()
	return until(tb, e, id, pipeline.Execution.Done)
}

func until(tb testing.TB, e *engine.Engine, id string, ok func(pipeline.Execution) bool) pipeline.Execution {
	tb.Helper()
	changed, stop := e.Watch(id)
	defer stop()
	deadline := time.After(patience)
	for {
		select {
		case <-changed:
		case <-deadline:
			x, err := e.Store.Execution(context.Background(), id)
			tb.Fatalf("%s is still %s (%v): %+v", id, x.Status, err, x.Stages)
		}
		if x, err := e.Store.Execution(tb.Context(), id); err == nil && ok(x) {
			return x
		}
	}
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("never happened: %s", what)
		}
	}
}

// Exercise runs the suite.
func Exercise(t *testing.T, newEngine New) {
	for name, test := range map[string]func(*testing.T, New){
		"stages run in order and hand on what was made": inOrder,
		"a failed action ends the execution":            failure,
		"an error and a panic are faults":               faults,
		"actions of one run order run together":         together,
		"a newer execution supersedes one that waits":   supersedes,
		"stopping interrupts and starting goes on":      resumes,
		"stopping waits until the actions let go":       stopWaits,
		"a database that takes no writes loses nothing": readOnly,
		"an unknown pipeline is not found":              unknown,
		"a missing artifact is named":                   missing,
		"an approval outlives the process":              approval,
		"abandoning interrupts what runs":               abandon,
		"what was abandoned in a crash is interrupted":  abandonedInACrash,
		"a rule set aside in a crash ends alone":        overrideInACrash,
		"a retry keeps the execution and its artifacts": retry,
		"a failure rolls back by itself":                rollback,
		"a rule and an action may have one name":        sameName,
		"a rule decides about a stage":                  rules,
		"a rule that waits outlives the process":        window,
		"an action's timeout is its deadline":           timeout,
		"a closed transition outlives the process":      transitions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newEngine)
		})
	}
}

func started(t *testing.T, newEngine New, config engine.Config) *engine.Engine {
	t.Helper()
	e, err := newEngine(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(patience) })
	return e
}

func inOrder(t *testing.T, newEngine New) {
	var ran []string
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		ran = append(ran, fmt.Sprintf("%s %s %v", job.Key(), job.Configuration, job.Inputs))
		fmt.Fprintln(job.Log, "hello from", job.Action.Name)
		return pipeline.Result{
			Outcome:   pipeline.Succeeded,
			Variables: map[string]string{"V": job.Action.Name},
			Artifacts: []pipeline.Artifact{{Name: "out", Digest: "sha256:" + job.Action.Name}},
		}, nil
	}))
	p := Stages([]string{"a"}, []string{"b"})
	p.Stages[1].Actions[0].Inputs = []string{"out"}
	p.Stages[1].Actions[0].Configuration = json.RawMessage(`{"from":"#{a.V}"}`)
	x := Await(t, e, Begin(t, e, p).ID)
	if x.Status != pipeline.ExecutionSucceeded || x.Ended.IsZero() {
		t.Errorf("status %s, ended %v", x.Status, x.Ended)
	}
	want := []string{"web-1.S1.1.a {} []", `web-1.S2.1.b {"from":"a"} [{out sha256:a 0}]`}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	if log, err := os.ReadFile(e.LogFile(x.ID, "S2", 1, "b")); err != nil || string(log) != "hello from b\n" {
		t.Errorf("log %q, %v", log, err)
	}
	// The directory goes just after the end is recorded.
	eventually(t, "the working directory is gone", func() bool {
		_, err := os.Stat(e.Dir + "/work/" + x.ID)
		return os.IsNotExist(err)
	})
}

func failure(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Action.Name == "b" {
			return pipeline.Fail("TestGreeting failed"), nil
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	x := Await(t, e, Begin(t, e, Stages([]string{"a"}, []string{"b"}, []string{"c"})).ID)
	got := []any{x.Status, x.Stages[1].Status, x.Stages[1].Actions[0].Result.Message, x.Stages[2].Status}
	want := []any{pipeline.ExecutionFailed, pipeline.StatusFailed, "TestGreeting failed", pipeline.StatusPending}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func faults(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Action.Name == "b" {
			panic("oh")
		}
		return pipeline.Result{}, errors.New("no cluster")
	}))
	x := Await(t, e, Begin(t, e, Stages([]string{"a", "b"})).ID)
	var got []string
	for _, a := range x.Stages[0].Actions {
		got = append(got, fmt.Sprint(a.Result.Outcome, ": ", a.Result.Message))
	}
	if diff := cmp.Diff([]string{"Faulted: no cluster", "Faulted: action b panicked: oh"}, got); diff != "" || x.Status != pipeline.ExecutionFailed {
		t.Errorf("status %s (-want +got):\n%s", x.Status, diff)
	}
}

func together(t *testing.T, newEngine New) {
	var both sync.WaitGroup
	both.Add(2)
	e := started(t, newEngine, Config(t, t.TempDir(), func(context.Context, pipeline.Job) (pipeline.Result, error) {
		both.Done()
		both.Wait() // returns only when the other one runs too
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	if x := Await(t, e, Begin(t, e, Stages([]string{"a", "b"})).ID); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s", x.Status)
	}
}

func supersedes(t *testing.T, newEngine New) {
	release := make(chan struct{})
	e := started(t, newEngine, Config(t, t.TempDir(), func(ctx context.Context, _ pipeline.Job) (pipeline.Result, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	p := Stages([]string{"a"})
	var ids []string
	for range 3 {
		ids = append(ids, Begin(t, e, p).ID)
	}
	until(t, e, ids[1], pipeline.Execution.Done)
	close(release)
	var got []pipeline.ExecutionStatus
	for _, id := range ids {
		got = append(got, Await(t, e, id).Status)
	}
	want := []pipeline.ExecutionStatus{pipeline.ExecutionSucceeded, pipeline.ExecutionSuperseded, pipeline.ExecutionSucceeded}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func resumes(t *testing.T, newEngine New) {
	dir := t.TempDir()
	running := make(chan struct{})
	var causes []error
	first := Config(t, dir, func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		if job.Stage != "S3" {
			return pipeline.Result{Outcome: pipeline.Succeeded}, nil
		}
		if err := os.WriteFile(job.Dir+"/half", nil, 0o600); err != nil {
			return pipeline.Result{}, err
		}
		close(running)
		<-ctx.Done()
		causes = append(causes, context.Cause(ctx))
		return pipeline.Result{}, ctx.Err()
	})
	e, err := newEngine(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := Begin(t, e, Stages([]string{"a"}, []string{"a"}, []string{"a"}, []string{"a"})).ID
	<-running
	if err := e.Stop(patience); err != nil {
		t.Fatal(err)
	}
	if err := first.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if len(causes) != 1 || !errors.Is(causes[0], pipeline.ErrShutdown) {
		t.Errorf("causes %v, want one ErrShutdown", causes)
	}

	var ran []string
	again := started(t, newEngine, Config(t, dir, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		if _, err := os.Stat(job.Dir + "/half"); (err == nil) != (job.Stage == "S3") {
			t.Errorf("%s: %v", job.Key(), err)
		}
		ran = append(ran, job.Key())
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	x := Await(t, again, id)
	if x.Status != pipeline.ExecutionSucceeded || !slices.Equal(ran, []string{"web-1.S3.1.a", "web-1.S4.1.a"}) {
		t.Errorf("status %s, ran %v", x.Status, ran)
	}
}

func stopWaits(t *testing.T, newEngine New) {
	interrupted, letGo := make(chan struct{}), make(chan struct{})
	running := make(chan struct{})
	e := started(t, newEngine, Config(t, t.TempDir(), func(ctx context.Context, _ pipeline.Job) (pipeline.Result, error) {
		close(running)
		<-ctx.Done()
		close(interrupted)
		<-letGo
		return pipeline.Result{}, ctx.Err()
	}))
	Begin(t, e, Stages([]string{"a"}))
	<-running
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(patience) }()
	<-interrupted
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned (%v) while an action ran", err)
	case <-time.After(time.Second):
	}
	close(letGo)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// readOnly lets the database refuse every write, as on a full disk, while one
// of two actions of the second stage ends. The other is interrupted before it is
// run again, and the execution ends once the database takes writes; what had
// ended before does not run again.
func readOnly(t *testing.T, newEngine New) {
	bRuns, aEnds, interrupted := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	var mu sync.Mutex
	running, most, again := 0, 0, false
	ran := map[string]int{}
	config := Config(t, t.TempDir(), func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		mu.Lock()
		ran[job.Stage+"."+job.Action.Name]++
		mu.Unlock()
		if job.Stage != "S2" {
			return pipeline.Result{Outcome: pipeline.Succeeded}, nil
		}
		if job.Action.Name == "a" {
			<-aEnds
			return pipeline.Result{Outcome: pipeline.Succeeded}, nil
		}
		mu.Lock()
		running++
		most = max(most, running)
		first := !again
		again = true
		mu.Unlock()
		defer func() { mu.Lock(); running--; mu.Unlock() }()
		if first {
			close(bRuns)
			<-ctx.Done()
			interrupted <- context.Cause(ctx)
			return pipeline.Result{}, ctx.Err()
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	})
	refuse := func(value string) {
		if _, err := config.Store.Handle().ExecContext(t.Context(), "PRAGMA query_only = "+value); err != nil {
			t.Error(err)
		}
	}
	e := started(t, newEngine, config)
	id := Begin(t, e, Stages([]string{"a"}, []string{"a", "b"}, []string{"a"})).ID
	<-bRuns
	refuse("on")
	close(aEnds)
	select {
	case cause := <-interrupted:
		if !errors.Is(cause, pipeline.ErrShutdown) {
			t.Errorf("b was interrupted because of %v", cause)
		}
	case <-time.After(patience):
		t.Fatal("b was not interrupted")
	}
	refuse("off")
	if x := Await(t, e, id); x.Status != pipeline.ExecutionSucceeded || most != 1 || ran["S1.a"] != 1 || ran["S3.a"] != 1 {
		t.Errorf("status %s, b ran %d times at once, %v ran", x.Status, most, ran)
	}
}

func unknown(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), nil))
	if _, err := e.StartExecution(t.Context(), engine.StartRequest{Pipeline: "nope"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func missing(t *testing.T, newEngine New) {
	e := started(t, newEngine, Config(t, t.TempDir(), func(context.Context, pipeline.Job) (pipeline.Result, error) {
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}))
	p := Stages([]string{"a"})
	p.Stages[0].Actions[0].Inputs = []string{"app"}
	x := Await(t, e, Begin(t, e, p).ID)
	want := `action a needs artifact "app", which no earlier action has made: list files under artifacts in its buildspec`
	if got := x.Stages[0].Actions[0].Result; got.Outcome != pipeline.Faulted || got.Message != want {
		t.Errorf("result %+v", got)
	}
}
