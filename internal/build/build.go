// Package build carries out the third part of the flow: the phases of a
// buildspec, run on a Backend, with databases of their own beside them. Its
// Action unpacks the source, plans the build, has a backend run it, reads the
// test reports and packs the artifact. It knows neither the engine that calls
// it nor where artifacts are kept.
package build

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// Backend runs builds somewhere: as processes of this machine, or as Pods of a
// cluster.
//
// Run may be called for several builds at once, each with a directory of its
// own. It returns when the build has ended; Ended says how, also when commands
// failed or the time was up. An error means that the build could not be run.
// When Run returns without ErrShutdown, no process and no database of the build
// is left, and the files that it made are below Build.Source.
//
// When ctx ends with the cause pipeline.ErrShutdown the build goes on without
// Run, which returns that cause at once; called with the same Build again, also
// by another process, Run finds the build again, wherever it stands by then.
// When ctx ends for any other cause Run stops the build and returns the cause.
type Backend interface {
	Run(ctx context.Context, b Build) (Ended, error)
}

// Build is what a backend runs.
type Build struct {
	Pipeline string `json:"pipeline"` // builds of one pipeline share caches
	Key      string `json:"key"`      // the same when the same build is run again
	// Label tells the builds of a batch apart, which share one log: all lines
	// of the build begin with it, in brackets. "" is none.
	Label string `json:"label,omitempty"`

	Shell    string `json:"shell,omitempty"`    // program that runs the commands, "" for sh
	Separate bool   `json:"separate,omitempty"` // each command in a shell of its own
	// Phases run in this order, by the rules of Phase.
	Phases []Phase `json:"phases"`
	// Env is set over what the backend sets of itself (the search path, HOME,
	// the tools' caches). The services' addresses replace it, and Override
	// replaces those.
	Env      map[string]string `json:"env,omitempty"`
	Override map[string]string `json:"override,omitempty"`
	// Runtimes are compared with the tools that are there before the first
	// phase; what differs is said in the log.
	Runtimes []buildspec.Runtime `json:"runtimes,omitempty"`
	// Services are started empty before the first phase, in this order.
	Services []Service `json:"services,omitempty"`
	// Cache are the files that are kept from build to build of the pipeline, nil
	// for none.
	Cache *buildspec.Cache `json:"cache,omitempty"`
	// Exported are the variables whose values are wanted at the end.
	Exported []string `json:"exported,omitempty"`
	// Expand are texts in which the shell replaces variables at the end, as
	// between double quotes.
	Expand  []string      `json:"expand,omitempty"`
	Timeout time.Duration `json:"timeout"`
	// Inputs are further artifacts by name, each unpacked below Dir/in.
	Inputs []string `json:"inputs,omitempty"`
	// Compute is where the build runs, as pipeline.Build has it, and Pod how,
	// for the backend of Pods.
	Compute string        `json:"compute,omitempty"`
	Pod     *pipeline.Pod `json:"pod,omitempty"`
	// Limits are what the build may use on this machine, nil for the server's.
	Limits *pipeline.Limits `json:"limits,omitempty"`

	// Dir belongs to this build and is the same when it is run again. The
	// backend may keep what it needs in it beside what is there.
	Dir string `json:"-"`
	// Source is the directory below Dir where the commands begin.
	Source string `json:"-"`
	// Log takes whole lines; LogFile is the file behind it, for a process that
	// outlives this one, in the form of report.Log.
	Log     io.Writer `json:"-"`
	LogFile string    `json:"-"`
	// Kubeconfig makes the file that the variable KUBECONFIG leads to, and is nil
	// when the build has none. A backend calls it each time it begins to run the
	// build, lets the build's user alone read the file, and removes it with the
	// build. See TokenOf for what must not be seen in the log.
	Kubeconfig func(ctx context.Context) ([]byte, error) `json:"-"`
	// Values asks for what must not lie on a disk or be seen in the log, and is
	// nil when there is nothing such. A backend calls it each time it begins to
	// run the build, and hands the values on so that nobody else can read them.
	Values func(ctx context.Context) (Values, error) `json:"-"`
	// Restore makes Source and the inputs again as they were before the build.
	// A backend that must run a lost build once more calls it first.
	Restore func(ctx context.Context) error `json:"-"`
}

// Phase is a list of commands. A command that fails ends the list; Finally runs
// then too. A phase has failed when a command of either failed.
type Phase struct {
	Name     string   `json:"name"`
	Commands []string `json:"commands,omitempty"`
	Finally  []string `json:"finally,omitempty"`
	// RunAs is the user of the commands, "" for the build's own.
	RunAs string `json:"runAs,omitempty"`
	// GoOn lets the next phase run although this one failed. Without it
	// nothing runs after a failure.
	GoOn bool `json:"goOn,omitempty"`
	// Retries is how often a phase that has failed is run again, whole, when
	// RetryIf, a regular expression, matches the words of Failure.Message.
	Retries int    `json:"retries,omitempty"`
	RetryIf string `json:"retryIf,omitempty"`
}

// Service is a database of the build's own.
type Service struct {
	Name   string `json:"name"`
	Engine string `json:"engine"` // postgres
	// Version that is wanted, such as 16; "" is any.
	Version string `json:"version,omitempty"`
}

// Ended is how a build ended.
type Ended struct {
	Phases []PhaseEnd `json:"phases,omitempty"` // those that ran
	// TimedOut names the phase that ran when the time was up.
	TimedOut string `json:"timedOut,omitempty"`
	// Exceeded is what the build has used too much of, nil when it has not.
	Exceeded *Exceeded         `json:"exceeded,omitempty"`
	Exported map[string]string `json:"exported,omitempty"`
	Expanded []string          `json:"expanded,omitempty"` // as Build.Expand
	// Services are the databases as people call them: PostgreSQL 15.
	Services []string `json:"services,omitempty"`
	Seconds  float64  `json:"seconds"`
}

// Exceeded is that a build was ended since it used too much of something.
type Exceeded struct {
	Phase string `json:"phase"` // that ran then
	// Text says of what it used how much, where, and what can be done.
	Text string `json:"text"`
}

// ErrExceeded ends the context of a build which uses too much: see Exceeded.
type ErrExceeded struct{ Text string }

func (e ErrExceeded) Error() string { return e.Text }

// PhaseEnd is how a phase ended.
type PhaseEnd struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Retries int     `json:"retries,omitempty"` // how often it was run again
	// Failure is nil when all commands succeeded.
	Failure *Failure `json:"failure,omitempty"`
}

// Failure is the first command of a phase that failed.
type Failure struct {
	Command string `json:"command"`
	Exit    int    `json:"exit"` // 128 and the signal when one ended it
	// Reason says why the phase could not begin, and is "" when a command failed.
	Reason string `json:"reason,omitempty"`
	// Tail are the last lines that the command printed.
	Tail []string `json:"tail,omitempty"`
}

// Message is the failure in CodeBuild's words, with the last lines behind it.
func (f Failure) Message() string {
	message := fmt.Sprintf("Error while executing command: %s. Reason: exit status %d", f.Command, f.Exit)
	return strings.Join(append([]string{message}, f.Tail...), "\n")
}

// Failed is the first phase that failed.
func (e Ended) Failed() (PhaseEnd, bool) {
	for _, p := range e.Phases {
		if p.Failure != nil {
			return p, true
		}
	}
	return PhaseEnd{}, false
}
