package awsapi

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// BenchmarkState asks for one pipeline's state among 1,000 pipelines with 100
// executions each, through the SDK: signed, verified, read and answered. It
// reports the 99th percentile.
func BenchmarkState(b *testing.B) {
	const pipelines, executions = 1000, 100
	db, err := store.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for i := range pipelines {
		p := fourStages(fmt.Sprintf("web-%d", i))
		err := db.Update(b.Context(), func(q store.Querier) error {
			if err := store.PutPipeline(b.Context(), q, p, p.Name, monday); err != nil {
				return err
			}
			for n := range executions {
				e := executionOf(p, n+1)
				if err := store.SaveExecution(b.Context(), q, e); err != nil {
					return err
				}
			}
			for _, s := range p.Stages {
				if err := store.SetLatest(b.Context(), q, p.Name, s.Name, fmt.Sprintf("%s-%d", p.Name, executions)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	served := setup(b, func(c *Config) { c.Records = db })
	api := served.sdk(viewerID, secretKey)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		name := fmt.Sprintf("web-%d", len(took)*7%pipelines)
		if _, err := api.GetPipelineState(b.Context(), &codepipeline.GetPipelineStateInput{Name: &name}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// executionOf is one that has succeeded.
func executionOf(p pipeline.Pipeline, number int) pipeline.Execution {
	e := pipeline.Execution{
		ID: fmt.Sprintf("%s-%d", p.Name, number), Pipeline: p.Name, Number: number, Status: pipeline.ExecutionSucceeded, Definition: p, Started: monday, Ended: monday,
		Revision: pipeline.Revision{Commit: "3f9c2e1a3f9c2e1a3f9c2e1a3f9c2e1a3f9c2e1a", Message: "Greet in French"},
	}
	for _, s := range p.Stages {
		state := pipeline.StageState{Name: s.Name, Status: pipeline.StatusSucceeded, Attempt: 1, Segment: 1, Entered: 1}
		for _, a := range s.Actions {
			state.Actions = append(state.Actions, pipeline.ActionState{
				Name: a.Name, Type: a.Type, Status: pipeline.StatusSucceeded, Attempt: 1, Started: monday, Ended: monday,
				Result: &pipeline.Result{Outcome: pipeline.Succeeded, Summary: "done", Variables: map[string]string{"By": a.Name}},
			})
		}
		e.Stages = append(e.Stages, state)
	}
	return e
}
