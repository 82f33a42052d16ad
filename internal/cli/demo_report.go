package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// demoReport is the one JSON document of towline demo -o json. Its keys are a
// contract.
type demoReport struct {
	Pipeline   string                   `json:"pipeline"`
	Execution  string                   `json:"execution"`
	Status     pipeline.ExecutionStatus `json:"status"`
	Stages     []demoStage              `json:"stages"`
	Image      string                   `json:"image"` // with digest
	Deployment *pipeline.Deployment     `json:"deployment"`
	Verdict    *pipeline.Verdict        `json:"verdict"`
	// Load is what the demo's own client saw, from before the push until after
	// the execution.
	Load *pipeline.Verdict `json:"load,omitempty"`
	URL  string            `json:"url"`
	// OverheadSeconds is the wall time of the execution minus the time during
	// which at least one action ran.
	OverheadSeconds float64 `json:"overheadSeconds"`
	// PushToVisibleSeconds is the time from the start of git push until the
	// execution had begun.
	PushToVisibleSeconds float64 `json:"pushToVisibleSeconds"`
}

type demoStage struct {
	Name    string       `json:"name"`
	Actions []demoAction `json:"actions"`
}

type demoAction struct {
	Name     string          `json:"name"`
	Provider string          `json:"provider"`
	Status   pipeline.Status `json:"status"`
	Seconds  float64         `json:"seconds"`
}

func (d *demo) report(e client.Execution, load *pipeline.Verdict) error {
	r := newReport(e)
	r.Load = load
	r.PushToVisibleSeconds = e.Started.Sub(d.pushed).Seconds()
	if d.command.output == "json" {
		if err := d.command.printJSON(r); err != nil {
			return err
		}
	}
	if err := d.succeeded(e); err != nil {
		return err
	}
	if d.command.output != "json" {
		d.tell(r)
	}
	if r.Verdict == nil {
		return errors.New("the deployment has no verdict: nothing could be measured")
	}
	if r.Verdict.Lost > 0 || (load != nil && load.Lost > 0) {
		return exitCode(exitFailed)
	}
	return nil
}

func newReport(e client.Execution) demoReport {
	r := demoReport{Pipeline: e.Pipeline, Execution: e.ID, Status: e.Status, OverheadSeconds: overhead(e).Seconds()}
	for _, s := range e.Stages {
		stage := demoStage{Name: s.Name}
		for _, a := range s.Actions {
			stage.Actions = append(stage.Actions, demoAction{Name: a.Name, Provider: a.Type.Provider, Status: a.Status, Seconds: a.Duration(e.Ended).Seconds()})
			if a.Result != nil && a.Result.Variables["ImageURI"] != "" {
				r.Image = a.Result.Variables["ImageURI"]
			}
		}
		r.Stages = append(r.Stages, stage)
	}
	if made := deployment(e); made != nil {
		r.Deployment, r.Verdict, r.URL = made, made.Verdict, made.URL
	}
	return r
}

// overhead is the time of an execution in which no action ran. Actions are in
// the order in which they started, stage by stage.
func overhead(e client.Execution) time.Duration {
	var idle time.Duration
	busy := e.Started
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Started.After(busy) {
				idle += a.Started.Sub(busy)
			}
			if a.Ended.After(busy) {
				busy = a.Ended
			}
		}
	}
	if e.Ended.After(busy) {
		idle += e.Ended.Sub(busy)
	}
	return idle
}

// tell ends the demo for a person.
func (d *demo) tell(r demoReport) {
	out := d.command.Out
	if r.Verdict != nil {
		fmt.Fprintf(out, "\nverdict      %s (sent by the deployment)\n", r.Verdict)
	}
	if r.Load != nil {
		fmt.Fprintf(out, "             %s (sent by the demo)\n", r.Load)
	}
	fmt.Fprintf(out, "application  %s\nserver       %s\noverhead     %.2fs besides the actions\n", r.URL, d.api.URL(), r.OverheadSeconds)
	if d.once {
		return
	}
	fmt.Fprintln(out, "\nTry next:")
	tree := treeDir(d.command.data)
	for _, line := range [][2]string{
		{"curl " + r.URL, "what visitors read"},
		{"towline deployments", "what was released, with verdicts"},
		{"towline rollback web", "back to the release before, from the cluster's own journal"},
		{"towline logs web unit", "the test's log"},
		{"edit " + tree + ", then: git -C " + tree + " push", "your own change"},
		{"towline demo", "one more release"},
		{"towline demo down", "remove every trace"},
	} {
		fmt.Fprintf(out, "  %s\n      %s\n", line[0], line[1])
	}
	if exe, err := executable(); err == nil && !strings.HasPrefix(exe, "/usr") {
		fmt.Fprintf(out, "(towline is %s)\n", exe)
	}
}
