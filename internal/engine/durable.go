package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// attempt names one attempt of one stage: the unit that survives a crash. The
// definition that it follows is the copy kept with the execution.
type attempt struct {
	Pipeline  string
	Execution string
	Stage     string
	Number    int // from 1
}

func (a attempt) id() string { return fmt.Sprintf("%s/%s/%d", a.Execution, a.Stage, a.Number) }

// executor runs stage attempts so that each survives the process: after a
// crash the attempt is walked again with what was recorded replayed. It is
// small so that another engine than DBOS can take its place; package
// enginetest holds what any of them must do.
type executor interface {
	// launch starts the executor and resumes the attempts that a crash cut off.
	launch() error
	// submit walks an attempt, in the background and as soon as that is
	// possible, be it after the next launch. Submitting an attempt again walks
	// nothing twice.
	submit(a attempt)
	// shutdown interrupts the running attempts and waits for them and their
	// actions.
	shutdown(timeout time.Duration) error
}

// run is what walking one attempt may do durably. Its methods are called from
// one goroutine, in an order that depends on nothing but their results.
type run interface {
	// transact runs fn in a transaction of the store that commits together
	// with the record that it ran: exactly once.
	transact(name string, fn func(context.Context, store.Querier) (transition, error)) (transition, error)
	// start runs fn in the background: at least once, until it returns. The
	// context ends with cause pipeline.ErrShutdown when the executor stops.
	start(name string, fn func(context.Context) pipeline.ActionEnded) error
	// await returns the outcome of one started fn, in an order that is the
	// same when the attempt is walked again.
	await() (pipeline.ActionEnded, error)
}

// transition is what one event led to.
type transition struct {
	Actions []pipeline.RunAction // to start in this attempt
	Stages  []attempt            // to submit
	Changed []string             // executions that look different now
	Ended   []string             // executions that have ended
}

// apply lets the state machine act on an event and saves what changed, in the
// caller's transaction.
func apply(ctx context.Context, q store.Querier, name string, event pipeline.Event) (transition, error) {
	before, err := store.State(ctx, q, name)
	if err != nil {
		return transition{}, err
	}
	after, commands, err := pipeline.Apply(before, event)
	if err != nil {
		return transition{}, err
	}
	var next transition
	for i, execution := range after.Executions {
		if i < len(before.Executions) && before.Executions[i].Sequence == execution.Sequence {
			continue
		}
		if err := store.SaveExecution(ctx, q, execution); err != nil {
			return transition{}, err
		}
		next.Changed = append(next.Changed, execution.ID)
		if execution.Done() {
			next.Ended = append(next.Ended, execution.ID)
		}
	}
	for _, command := range commands {
		switch c := command.(type) {
		case pipeline.RunAction:
			next.Actions = append(next.Actions, c)
		case pipeline.RunStage:
			next.Stages = append(next.Stages, attempt{Pipeline: name, Execution: c.Execution, Stage: c.Stage, Number: c.Attempt})
		}
	}
	return next, nil
}
