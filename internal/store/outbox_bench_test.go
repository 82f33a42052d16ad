package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// BenchmarkStateChange writes an execution of five stages again, as each event
// does, and what there is to tell of it.
func BenchmarkStateChange(b *testing.B) {
	for _, c := range []struct {
		name  string
		tell  bool
		names []string
	}{{"without an outbox", false, nil}, {"nobody to tell", true, nil}, {"somebody to tell", true, []string{"a"}}} {
		b.Run(c.name, func(b *testing.B) {
			db, err := store.Open(b.Context(), b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			for _, name := range c.names {
				if err := db.AddNotification(b.Context(), store.Notification{Name: name, Filter: []byte(`{}`), Sealed: []byte("s"), Created: now}); err != nil {
					b.Fatal(err)
				}
			}
			e := pipeline.Execution{ID: "web-1", Pipeline: "web", Number: 1, Status: pipeline.ExecutionInProgress, Started: now}
			for i := range 5 {
				stage := pipeline.Stage{Name: fmt.Sprint("S", i), Actions: []pipeline.Action{{Name: "a", RunOrder: 1}, {Name: "b", RunOrder: 1}}}
				e.Definition.Stages = append(e.Definition.Stages, stage)
				e.Stages = append(e.Stages, pipeline.StageState{Name: stage.Name, Status: pipeline.StatusInProgress, Attempt: 1, Actions: []pipeline.ActionState{
					{Name: "a", Status: pipeline.StatusInProgress, Attempt: 1, Started: now}, {Name: "b", Status: pipeline.StatusInProgress, Attempt: 1, Started: now},
				}})
			}
			after := e
			after.Stages = append([]pipeline.StageState(nil), e.Stages...)
			after.Stages[0].Actions = []pipeline.ActionState{{Name: "a", Status: pipeline.StatusSucceeded, Attempt: 1, Started: now, Result: &pipeline.Result{}}, e.Stages[0].Actions[1]}
			err = db.Update(b.Context(), func(q store.Querier) error {
				return store.PutPipeline(b.Context(), q, pipeline.Pipeline{Name: "web"}, "web", now)
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				err := db.Update(b.Context(), func(q store.Querier) error {
					if err := store.SaveExecution(b.Context(), q, after); err != nil || !c.tell {
						return err
					}
					return store.AddChanges(b.Context(), q, pipeline.NewChangeSet(e, after, time.Time{}))
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
