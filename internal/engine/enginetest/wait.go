package enginetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// window has a rule that waits for a window, beside one that takes its time. The
// process ends meanwhile, and the window opens in the next one.
func window(t *testing.T, newEngine New) {
	var mu sync.Mutex
	now := time.Now()
	opens := now.Add(48 * time.Hour)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	var ran []string
	checked := make(chan struct{})
	act := func(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
		mu.Lock()
		ran = append(ran, fmt.Sprintf("%s %d", job.Action.Name, len(ran)+1))
		open := !now.Before(opens)
		mu.Unlock()
		switch {
		case job.Action.Name == "window" && !open:
			return pipeline.Wait(opens, "the window"), nil
		case job.Action.Name == "check":
			select {
			case <-checked:
			case <-ctx.Done():
				return pipeline.Result{}, context.Cause(ctx)
			}
		}
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	}
	config := Config(t, t.TempDir(), act)
	config.Now = clock
	e := started(t, newEngine, config)
	id := Begin(t, e, asking("window", "check")).ID
	waits := func(x pipeline.Execution) bool { return !x.Due().IsZero() }
	until(t, e, id, waits)
	close(checked)
	until(t, e, id, func(x pipeline.Execution) bool { return len(pipeline.Running(x, "S1")) == 0 })
	if err := e.Stop(patience); err != nil {
		t.Fatal(err)
	}
	_ = e.Store.Close()

	again := Config(t, e.Dir, act)
	again.Now = clock
	e = started(t, newEngine, again)
	x, err := e.Store.Execution(t.Context(), id)
	if err != nil || !waits(x) || x.Status != pipeline.ExecutionInProgress {
		t.Errorf("after a restart it is %s, %v", x.Status, err)
	}
	mu.Lock()
	before := len(ran)
	now = opens
	mu.Unlock()
	if x := Await(t, e, id); x.Status != pipeline.ExecutionSucceeded {
		t.Errorf("status %s: %+v", x.Status, x.Stages)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"window 3", "deploy 4"}, ran[before:]); diff != "" || before != 2 {
		t.Errorf("%d ran before the window opened, and then (-want +got):\n%s", before, diff)
	}
}

// asking is a pipeline of one stage, which asks rules of these names first.
func asking(rules ...string) pipeline.Pipeline {
	p := Stages([]string{"deploy"})
	p.Stages[0].BeforeEntry = &pipeline.Condition{}
	for _, name := range rules {
		rule := pipeline.Rule{Name: name, Type: pipeline.ActionType{Category: pipeline.CategoryRule}}
		p.Stages[0].BeforeEntry.Rules = append(p.Stages[0].BeforeEntry.Rules, rule)
	}
	return p
}
