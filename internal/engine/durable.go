package engine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// attempt names one attempt of one stage, or what is left of it once somebody
// outside has done their part: the unit that survives a crash. The definition
// that it follows is the copy kept with the execution.
type attempt struct {
	Pipeline  string
	Execution string
	Stage     string
	Number    int    // from 1
	Segment   int    `json:",omitempty"` // see pipeline.StageState
	Walk      string `json:",omitempty"` // id of the attempt whose worker walks this one too, "" for its own
}

// id leaves the first segment out, which is most often the only one.
func (a attempt) id() string {
	id := fmt.Sprintf("%s/%s/%d", a.Execution, a.Stage, a.Number)
	if a.Segment > 1 {
		id = fmt.Sprintf("%s.%d", id, a.Segment)
	}
	return id
}

// worker is the id of the worker that walks the attempt.
func (a attempt) worker() string { return cmp.Or(a.Walk, a.id()) }

// executor runs stage attempts so that each survives the process: after a
// crash the attempt is walked again with what was recorded replayed. It is
// small so that another engine than DBOS can take its place; package
// enginetest holds what any of them must do.
type executor interface {
	// resumes lists the executions of which launch is going to resume something.
	resumes() (map[string]bool, error)
	// launch starts the executor and resumes the attempts that a crash cut off.
	launch() error
	// submit walks an attempt that has just been made, in the background and as
	// soon as that is possible, be it after the next launch.
	submit(a attempt)
	// resubmit is submit for an attempt that may have been submitted before. It
	// walks nothing twice.
	resubmit(a attempt)
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
	// start runs fn in the background: at least once, until what it returned has
	// been handed to transact. The context ends with cause pipeline.ErrShutdown
	// when the executor stops.
	start(fn func(context.Context) pipeline.ActionEnded)
	// await returns the outcome of one of so many started fns that it has not
	// returned yet, in an order that is the same when the attempt is walked
	// again.
	await(running int) (pipeline.ActionEnded, error)
}
