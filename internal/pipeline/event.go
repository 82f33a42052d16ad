package pipeline

import (
	"errors"
	"time"
)

// Event is something that happened to a pipeline.
type Event interface{ isEvent() }

// Started says that a new execution begins. Stages and Status are filled in by
// the machine. One of type ExecutionRollback has a Target and one stage, which
// is Stage.
type Started struct {
	Execution Execution
	Stage     string // of a rollback
}

// StageEntered says that the worker commanded by RunStage has come.
type StageEntered struct {
	Execution string
	Stage     string
	Attempt   int
	Segment   int
	Walk      string // see StageState
	At        time.Time
}

// ActionEnded says how the action or rule commanded by RunAction ended, or the
// one that a program outside of Towline has worked on.
type ActionEnded struct {
	Execution string
	Stage     string
	Attempt   int
	Condition ConditionKind // of a rule; "" for an action
	Action    string
	Result    Result
	At        time.Time
	By        string // who reported it, of an action that is worked on outside
	// Outside tells that it was not the stage's worker that ended it.
	Outside bool
}

// Approved says what a person decided about a manual approval.
type Approved struct {
	Execution string
	Stage     string
	Action    string
	Token     string // see ApprovalToken
	Yes       bool
	Summary   string
	By        string
	At        time.Time
}

// Expired says that time has passed beyond the Due of an action or a rule: one
// that waits is run again, if its timeout lets it; others are given up.
type Expired struct {
	Execution string
	Stage     string
	Condition ConditionKind // of a rule; "" for an action
	Action    string
	At        time.Time
}

// StopRequested asks an execution to stop: once what is in progress has ended,
// or at once when it is abandoned.
type StopRequested struct {
	Execution string
	Abandon   bool
	Reason    string
	At        time.Time
}

// RetryRequested asks for another attempt of a stage that has failed or was
// stopped.
type RetryRequested struct {
	Execution string
	Stage     string
	Mode      RetryMode
	At        time.Time
}

// Overridden sets a condition aside that is not met, or not yet.
type Overridden struct {
	Execution string
	Stage     string
	Kind      ConditionKind
	By        string
	At        time.Time
}

// TransitionSet opens or closes a transition.
type TransitionSet struct {
	Transition
	Disabled bool
}

// Woken says that nothing else will come of what the machine has asked for, a
// rollback without a target: who waits for a stage may enter it.
type Woken struct{ At time.Time }

func (Started) isEvent()        {}
func (StageEntered) isEvent()   {}
func (ActionEnded) isEvent()    {}
func (Approved) isEvent()       {}
func (Expired) isEvent()        {}
func (StopRequested) isEvent()  {}
func (RetryRequested) isEvent() {}
func (Overridden) isEvent()     {}
func (TransitionSet) isEvent()  {}
func (Woken) isEvent()          {}

// Command is what the machine wants done.
type Command interface{ isCommand() }

// RunStage asks for a worker for one segment of one attempt of a stage. The
// worker answers with StageEntered.
type RunStage struct {
	Execution string
	Stage     string
	Attempt   int
	Segment   int
}

// RunAction asks the stage's worker to run one action, or one rule of a
// condition. The worker answers with ActionEnded.
type RunAction struct {
	Execution string
	Stage     string
	Attempt   int
	Condition ConditionKind // of a rule; "" for an action
	Action    string
}

// CancelStage asks to interrupt what still runs of a stage attempt that was
// abandoned. Nobody waits for its outcome.
type CancelStage struct {
	Execution string
	Stage     string
	Attempt   int
}

// RollBack asks for a rollback of the stage to the execution that succeeded in
// it last. It is answered with Started, or with Woken when there is none. Until
// then nobody enters the stage.
type RollBack struct {
	Execution string
	Stage     string
}

func (RunStage) isCommand()    {}
func (RunAction) isCommand()   {}
func (CancelStage) isCommand() {}
func (RollBack) isCommand()    {}

// The ways in which the machine refuses an event. Errors of Apply wrap one of
// them, or say that the event names what is not there.
var (
	// ErrStale is returned for an event about something that is over already: a
	// stage attempt that was left, or an action that has ended. Nothing ends
	// twice.
	ErrStale = errors.New("event is stale")
	// ErrNoStage is returned when an execution has no stage of that name.
	ErrNoStage = errors.New("there is no such stage")
	// ErrNotStoppable is returned when an execution has ended or is being
	// stopped in that way already.
	ErrNotStoppable = errors.New("execution cannot be stopped")
	// ErrNotRetryable is returned when a stage has not failed, or a newer
	// execution has been in it since.
	ErrNotRetryable = errors.New("stage cannot be retried")
	// ErrNotOverridable is returned when there is no condition that holds the
	// execution up.
	ErrNotOverridable = errors.New("condition cannot be overridden")
	// ErrNotLatest is returned when a newer execution has been in the stage.
	ErrNotLatest = errors.New("execution is not the latest in the stage")
	// ErrNoRollback is returned when a stage cannot be rolled back.
	ErrNoRollback = errors.New("stage cannot be rolled back")
	// ErrBadToken is returned for an approval by a token of another attempt.
	ErrBadToken = errors.New("approval token is not valid")
	// ErrAlreadyDecided is returned for an approval that has been given or
	// refused.
	ErrAlreadyDecided = errors.New("approval has been decided already")
	// ErrNoTransitions is returned when executions run in parallel: nothing holds
	// them between stages.
	ErrNoTransitions = errors.New("executions that run in parallel pass no transitions")
	// ErrTooMany is returned when as many executions as there may be have not
	// ended.
	ErrTooMany = errors.New("too many executions")
)
