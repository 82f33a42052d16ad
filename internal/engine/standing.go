package engine

import (
	"context"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Standing is where a pipeline stands: CodePipeline's pipeline state.
type Standing struct {
	Pipeline pipeline.Pipeline
	Stages   []StageStanding // those of the definition as it is now, in its order
}

// StageStanding is where one stage of a pipeline stands.
type StageStanding struct {
	Name string
	// Latest is the execution that entered the stage last, nil before the first.
	Latest *pipeline.Execution
	// Waiting are the executions that are to enter the stage next, oldest first.
	Waiting []string
	Closed  []pipeline.Transition
}

// State is how the latest execution stands in the stage, or nil.
func (s StageStanding) State() *pipeline.StageState {
	if s.Latest == nil {
		return nil
	}
	return s.Latest.Stage(s.Name)
}

// Standing reads where a pipeline stands. The error is store.ErrNotFound when
// there is no such pipeline.
func (e *Engine) Standing(ctx context.Context, name string) (Standing, error) {
	var standing Standing
	err := e.Store.View(ctx, func(q store.Querier) error {
		definition, err := store.GetPipeline(ctx, q, name)
		if err != nil {
			return err
		}
		standing.Pipeline = definition.Pipeline
		state, err := store.State(ctx, q, name)
		if err != nil {
			return err
		}
		known := map[string]*pipeline.Execution{}
		for i := range state.Executions {
			known[state.Executions[i].ID] = &state.Executions[i]
		}
		for _, stage := range definition.Pipeline.Stages {
			at := StageStanding{Name: stage.Name, Waiting: state.Waiting(stage.Name)}
			for _, t := range state.Disabled {
				if t.Stage == stage.Name {
					at.Closed = append(at.Closed, t)
				}
			}
			if id := state.Latest[stage.Name]; id != "" {
				if known[id] == nil {
					ended, err := store.GetExecution(ctx, q, id)
					if err != nil {
						return err
					}
					known[id] = &ended
				}
				at.Latest = known[id]
			}
			standing.Stages = append(standing.Stages, at)
		}
		return nil
	})
	return standing, err
}
