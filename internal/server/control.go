package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
)

// controlRoutes are how people steer executions.
func (s *Server) controlRoutes(group *huma.Group) {
	huma.Get(group, "/pipelines/{name}/state", s.getState)
	huma.Post(group, "/pipelines/{name}/stages/{stage}/rollback", s.rollBack)
	huma.Put(group, "/pipelines/{name}/stages/{stage}/transitions/{type}", s.setTransition)
	huma.Post(group, "/executions/{id}/approval", s.decide)
	huma.Post(group, "/executions/{id}/stop", s.stopExecution)
	huma.Post(group, "/executions/{id}/retry", s.retryStage)
	huma.Post(group, "/executions/{id}/override", s.overrideCondition)
}

// refused maps the state machine's refusals to an answer.
func (s *Server) refused(what string, err error) error {
	if problems, ok := errors.AsType[pipeline.Problems](err); ok {
		return huma.Error422UnprocessableEntity(problems.String())
	}
	for _, refusal := range []error{
		pipeline.ErrStale, pipeline.ErrNotStoppable, pipeline.ErrNotRetryable, pipeline.ErrNotOverridable, pipeline.ErrNotLatest,
		pipeline.ErrNoRollback, pipeline.ErrBadToken, pipeline.ErrAlreadyDecided, pipeline.ErrTooMany, pipeline.ErrNoTransitions,
	} {
		if errors.Is(err, refusal) {
			return huma.NewError(http.StatusConflict, err.Error())
		}
	}
	if errors.Is(err, pipeline.ErrNoStage) {
		return huma.Error404NotFound(err.Error())
	}
	return s.fail(what, err)
}

// shown is the execution after something was done to it.
func (s *Server) shown(ctx context.Context, what, id string, err error) (*answer[client.Execution], error) {
	if err != nil {
		return nil, s.refused(what, err)
	}
	e, err := s.Store.Execution(ctx, id)
	if err != nil {
		return nil, s.fail(what, err)
	}
	return &answer[client.Execution]{s.show(ctx, e)}, nil
}

func (s *Server) decide(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body client.Decision
}) (*answer[client.Execution], error) {
	d := in.Body
	err := s.Engine.Approve(ctx, pipeline.Approved{
		Execution: in.ID, Stage: d.Stage, Action: d.Action, Token: d.Token, Yes: d.Approve, Summary: d.Comment, By: by(ctx, d.By),
	})
	return s.shown(ctx, "decide about an approval", in.ID, err)
}

func (s *Server) stopExecution(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body client.StopRequest
}) (*answer[client.Execution], error) {
	return s.shown(ctx, "stop execution", in.ID, s.Engine.StopExecution(ctx, in.ID, in.Body.Abandon, in.Body.Reason))
}

func (s *Server) retryStage(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body client.RetryRequest
}) (*answer[client.Execution], error) {
	return s.shown(ctx, "retry stage", in.ID, s.Engine.Retry(ctx, in.ID, in.Body.Stage, cmp.Or(in.Body.Mode, pipeline.RetryFailedActions)))
}

func (s *Server) overrideCondition(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body client.OverrideRequest
}) (*answer[client.Execution], error) {
	err := s.Engine.Override(ctx, pipeline.Overridden{Execution: in.ID, Stage: in.Body.Stage, Kind: in.Body.Kind, By: by(ctx, in.Body.By)})
	return s.shown(ctx, "override condition", in.ID, err)
}

func (s *Server) rollBack(ctx context.Context, in *struct {
	Name  string `path:"name"`
	Stage string `path:"stage"`
	Body  client.RollbackRequest
}) (*answer[client.Execution], error) {
	e, err := s.Engine.RollBack(ctx, engine.RollbackRequest{
		Pipeline: in.Name, Stage: in.Stage, Target: in.Body.Target, Trigger: pipeline.Trigger{Type: pipeline.TriggerManualRollback},
	})
	return s.shown(ctx, "roll back stage", e.ID, err)
}

func (s *Server) setTransition(ctx context.Context, in *struct {
	Name  string                  `path:"name"`
	Stage string                  `path:"stage"`
	Type  pipeline.TransitionType `path:"type" enum:"Inbound,Outbound"`
	Body  client.TransitionRequest
}) (*answer[client.PipelineState], error) {
	err := s.Engine.SetTransition(ctx, in.Name, pipeline.TransitionSet{
		Transition: pipeline.Transition{Stage: in.Stage, Type: in.Type, Reason: in.Body.Reason, By: by(ctx, in.Body.By)},
		Disabled:   in.Body.Disabled,
	})
	if err != nil {
		return nil, s.refused("set transition", err)
	}
	return s.state(ctx, in.Name)
}

func (s *Server) getState(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*answer[client.PipelineState], error) {
	return s.state(ctx, in.Name)
}

func (s *Server) state(ctx context.Context, name string) (*answer[client.PipelineState], error) {
	definition, state, err := s.Store.PipelineState(ctx, name)
	if err != nil {
		return nil, s.fail("get state of pipeline", err)
	}
	out := client.PipelineState{Name: name, Version: definition.Pipeline.Version}
	for _, stage := range definition.Pipeline.Stages {
		shown := client.StageState{Name: stage.Name, Latest: state.Latest[stage.Name], Waiting: state.Waiting(stage.Name)}
		for _, t := range state.Disabled {
			if t.Stage == stage.Name {
				shown.Closed = append(shown.Closed, t)
			}
		}
		for _, e := range state.Executions {
			if e.ID == shown.Latest {
				shown.State = e.Stage(stage.Name)
			}
		}
		out.Stages = append(out.Stages, shown)
	}
	for _, e := range state.Executions {
		if hold := state.Hold(e); hold != nil {
			out.Holds = append(out.Holds, client.Held{Execution: e.ID, Hold: *hold})
		}
	}
	return &answer[client.PipelineState]{out}, nil
}
