package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Job is what an action gets to do its work. The same job may be given twice,
// when the server died before the outcome was recorded: Key is the same then,
// and the action must re-attach to what it started or do it again without
// harm.
type Job struct {
	Pipeline  string
	Execution string // unique over all pipelines, e.g. "web-2"
	Number    int    // of the execution within its pipeline, from 1
	Stage     string
	Attempt   int // of the stage, from 1
	Action    Action
	Revision  Revision
	Trigger   Trigger // why the execution was started

	// Configuration is Action.Configuration with all variables resolved.
	Configuration json.RawMessage

	// Inputs are the input artifacts by name, in the action's order.
	Inputs []Artifact

	// Dir is a directory for this action alone. It exists, is empty when the
	// action first runs, is found again as it was left when the same job is
	// given twice, and is removed some time after the action has ended.
	Dir string

	// Log takes what the person who watches should read. Whole lines only;
	// safe for concurrent use.
	Log io.Writer

	// LogFile is the file behind Log, for a child process that must be able
	// to write on while the server is down. Its lines have the form of
	// report.Stamp; writers append whole lines.
	LogFile string

	// Progress replaces the action's one line of progress, such as "green 2/3
	// ready". It may be called often.
	Progress func(line string)

	// Parts, when it is not nil, keeps a record of each build of a batch.
	Parts Parts
}

// Key identifies the job over restarts: usable as a file name, a DNS label
// and a Kubernetes label value when the names in it are.
func (j Job) Key() string {
	return fmt.Sprintf("%s.%s.%d.%s", j.Execution, j.Stage, j.Attempt, j.Action.Name)
}

// Input returns the input artifact of that name. An empty name means the
// last one, which is the one most recently made.
func (j Job) Input(name string) (Artifact, bool) {
	for _, a := range j.Inputs {
		if a.Name == name {
			return a, true
		}
	}
	if name == "" && len(j.Inputs) > 0 {
		return j.Inputs[len(j.Inputs)-1], true
	}
	return Artifact{}, false
}

// Revision is the source version that an execution carries: a commit.
type Revision struct {
	Repository string    `json:"repository"`
	Branch     string    `json:"branch"`
	Tag        string    `json:"tag,omitempty"` // when it was a tag that was pushed
	Commit     string    `json:"commit"`        // 40 or 64 hex digits
	Message    string    `json:"message"`
	Author     string    `json:"author"`
	Time       time.Time `json:"time"`
}

// Short is the commit as people write it: seven digits.
func (r Revision) Short() string { return r.Commit[:min(7, len(r.Commit))] }

// Artifact is a directory of files in the artifact store.
type Artifact struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // sha256:hex of the stored bytes
	Size   int64  `json:"size"`   // of the stored bytes
}

// Outcome is how an action ended. Three, never two: Succeeded; Failed, when
// the user's work said no; Faulted, when Towline could not run it. An action
// returns the first two as a Result and the third as an error.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "Succeeded"
	Failed    Outcome = "Failed"
	Faulted   Outcome = "Faulted"
)

// Result is what an action hands back.
type Result struct {
	// Outcome is "" when there is none yet and Again is set.
	Outcome Outcome `json:"outcome,omitempty"`
	// Again is when the action, or rule, wants to be run again because it can
	// only wait until then; nobody waits with it, and it may take days. It is then
	// run with the same job, as after a crash. Summary says what it waits for.
	Again time.Time `json:"again,omitzero"`
	// Message says, when the outcome is not Succeeded, what is wrong, where,
	// and how to mend it. It may have several lines.
	Message string `json:"message,omitempty"`
	// Summary is the action in a few words for the terminal: "42 passed ·
	// PostgreSQL 15".
	Summary string `json:"summary,omitempty"`
	// Variables can be used by later actions as #{action.Name}.
	Variables map[string]string `json:"variables,omitempty"`
	// Artifacts are the outputs, named as in Action.Outputs.
	Artifacts []Artifact `json:"artifacts,omitempty"`
	// Phases are those that a build has been through.
	Phases     []Phase     `json:"phases,omitempty"`
	Tests      *TestReport `json:"tests,omitempty"`
	Deployment *Deployment `json:"deployment,omitempty"`
}

// Wait is the Result of an action that has nothing to do until an instant. The
// text says what it waits for.
func Wait(until time.Time, format string, args ...any) Result {
	return Result{Again: until, Summary: fmt.Sprintf(format, args...)}
}

// Fail is the Result of work that said no.
func Fail(format string, args ...any) Result {
	return Result{Outcome: Failed, Message: fmt.Sprintf(format, args...)}
}
