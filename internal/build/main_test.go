package build_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/phases"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// The commands that make the test binary another process: the runner of a
// build, and a server that runs one action.
const (
	runnerCommand = "build-runner"
	serverCommand = "build-server"
)

func TestMain(m *testing.M) {
	if code, ok := phases.Tool(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case runnerCommand:
			os.Exit(host.RunnerMain(context.Background(), os.Args[2]))
		case serverCommand:
			if err := serve(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// order is what a server process of a test is to do.
type order struct {
	Store, Cache string
	Plain        bool
	Job          pipeline.Job
	// Vault is nil where no secrets are kept. No other process gets it.
	Vault vault
}

// wire is the JSON of an order: a Job without what no other process can use.
type wire struct {
	Store, Cache string
	Plain        bool
	Job          struct {
		*pipeline.Job
		Log, Progress *struct{} `json:",omitempty"`
	}
}

func (o order) MarshalJSON() ([]byte, error) {
	w := wire{Store: o.Store, Cache: o.Cache, Plain: o.Plain}
	w.Job.Job = &o.Job
	return json.Marshal(w)
}

func (o *order) UnmarshalJSON(text []byte) error {
	var w wire
	w.Job.Job = &o.Job
	err := json.Unmarshal(text, &w)
	o.Store, o.Cache, o.Plain = w.Store, w.Cache, w.Plain
	return err
}

// serve runs the action of an order and prints its result.
func serve(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	result, err := o.run(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// run carries the order out as an action.
func (o order) run(ctx context.Context) (pipeline.Result, error) {
	return o.with(ctx, func(action build.Action, job pipeline.Job) (pipeline.Result, error) { return action.Run(ctx, job) })
}

// with opens what the order names, and gives the action that it makes and its
// job to do.
func (o order) with(ctx context.Context, do func(build.Action, pipeline.Job) (pipeline.Result, error)) (pipeline.Result, error) {
	store, err := artifact.Open(ctx, o.Store)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer store.Close()
	backend, err := host.New(host.Config{Runner: []string{os.Args[0], runnerCommand}, CacheDir: o.Cache, Plain: o.Plain})
	if err != nil {
		return pipeline.Result{}, err
	}
	log, err := report.OpenLog(o.Job.LogFile)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer log.Close()
	o.Job.Log = log
	action := build.Action{Backend: backend, Artifacts: store}
	if o.Vault != nil {
		action.Secrets, action.Git = o.Vault, o.Vault
	}
	return do(action, o.Job)
}
