package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// BenchmarkStandings asks for the first page of 1,000 pipelines with 100
// executions each, of which one in ten runs. Each state is as large as a real
// one.
func BenchmarkStandings(b *testing.B) {
	db, err := store.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for i := range 1000 {
		if err := fillPipeline(b, db, i); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		found, total, err := db.Standings(b.Context(), store.StandingFilter{Limit: 100})
		if err != nil || len(found) != 100 || total.Pipelines != 1000 {
			b.Fatal(len(found), total, err)
		}
	}
}

func fillPipeline(b *testing.B, db *store.DB, i int) error {
	const executions, stages = 100, 6
	p := pipeline.Pipeline{Name: fmt.Sprint("service-", i)}
	for n := range stages {
		p.Stages = append(p.Stages, pipeline.Stage{Name: fmt.Sprint("Stage", n), Actions: []pipeline.Action{{Name: "work", RunOrder: 1}}})
	}
	return db.Update(b.Context(), func(q store.Querier) error {
		errs := store.PutPipeline(b.Context(), q, p, p.Name, now)
		for number := range executions {
			e := pipeline.Execution{
				ID: fmt.Sprintf("%s-%d", p.Name, number), Pipeline: p.Name, Number: number, Status: pipeline.ExecutionSucceeded, Definition: p, Started: now.Add(time.Duration(number) * time.Minute),
				Revision: pipeline.Revision{Commit: fmt.Sprintf("%040x", number), Message: "Answer twice as fast", Author: "Grace Hopper"},
			}
			for n := range stages {
				status := pipeline.StatusSucceeded
				if number == executions-1 && n == stages-1 && i%10 == 0 {
					status, e.Status = pipeline.StatusInProgress, pipeline.ExecutionInProgress
				}
				e.Stages = append(e.Stages, pipeline.StageState{Name: p.Stages[n].Name, Status: status, Attempt: 1, Actions: []pipeline.ActionState{{
					Name: "work", Status: status, Attempt: 1, Started: now, Ended: now, Result: &pipeline.Result{Outcome: pipeline.Succeeded},
				}}})
			}
			errs = errors.Join(errs, store.SaveExecution(b.Context(), q, e))
		}
		return errs
	})
}
