package server

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

func (s *Server) testRoutes(group huma.API) {
	huma.Get(group, "/pipelines/{name}/tests", s.listTests)
	huma.Get(group, "/executions/{id}/tests", s.listTestsOf)
}

func (s *Server) listTests(ctx context.Context, in *struct {
	Name string `path:"name"`
	Runs int    `query:"runs" minimum:"1" maximum:"50" default:"20" doc:"of each action"`
}) (*answer[[]client.TestedAction], error) {
	if _, err := s.Store.Pipeline(ctx, in.Name); err != nil {
		return nil, s.fail("list tests", err)
	}
	actions := []client.TestedAction{}
	var histories []*pipeline.Histories
	err := s.Store.TestRuns(ctx, in.Name, in.Runs, func(run pipeline.TestRun) error {
		last := len(actions) - 1
		if last < 0 || actions[last].Stage != run.Stage || actions[last].Action != run.Action {
			actions = append(actions, client.TestedAction{Stage: run.Stage, Action: run.Action})
			histories = append(histories, &pipeline.Histories{})
			last++
		}
		histories[last].Add(run)
		run.Reports = nil
		actions[last].Runs = append(actions[last].Runs, run)
		return nil
	})
	if err != nil {
		return nil, s.fail("list tests", err)
	}
	for i := range actions {
		actions[i].Tests = histories[i].Told()
		slices.Reverse(actions[i].Runs)
	}
	return &answer[[]client.TestedAction]{actions}, nil
}

func (s *Server) listTestsOf(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*answer[[]pipeline.TestRun], error) {
	if _, err := s.Store.Execution(ctx, in.ID); err != nil {
		return nil, s.fail("list tests", err)
	}
	runs, err := s.Store.TestRunsOf(ctx, in.ID)
	if err != nil {
		return nil, s.fail("list tests", err)
	}
	if runs == nil {
		runs = []pipeline.TestRun{}
	}
	return &answer[[]pipeline.TestRun]{runs}, nil
}
