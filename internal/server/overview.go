package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/store"
)

// glance is the least time between two changes told on one connection: who
// looks at all pipelines reads the page again after each.
const glance = 200 * time.Millisecond

func (s *Server) overviewRoutes(group huma.API) {
	huma.Get(group, "/overview", s.getOverview)
	sse.Register(group, huma.Operation{OperationID: "watch-overview", Method: http.MethodGet, Path: "/overview/watch"},
		map[string]any{"changed": client.OverviewChange{}}, s.watchOverview)
}

func (s *Server) getOverview(ctx context.Context, in *struct {
	Query string `query:"query" maxLength:"200" doc:"part of a pipeline's or repository's name"`
	After string `query:"after" maxLength:"1000" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}) (*answer[client.Overview], error) {
	// One more tells whether there is another page.
	found, total, err := s.Store.Standings(ctx, store.StandingFilter{Text: in.Query, After: in.After, Limit: in.Limit + 1})
	if errors.Is(err, store.ErrBadCursor) {
		return nil, huma.Error422UnprocessableEntity("after names no place in the list: take next of the page before, or leave it out")
	}
	if err != nil {
		return nil, s.fail("look at all pipelines", err)
	}
	out := client.Overview{Pipelines: total.Pipelines, Running: total.Running, Waiting: total.Waiting, Failed: total.Failed, Rows: []client.Standing{}}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Next = found[in.Limit-1].Next
	}
	for _, standing := range found {
		out.Rows = append(out.Rows, stands(standing))
	}
	return &answer[client.Overview]{out}, nil
}

func stands(s store.Standing) client.Standing {
	out := client.Standing{Name: s.Pipeline, Repository: s.Repository, Unfinished: len(s.State.Executions)}
	for _, e := range s.State.Executions {
		if hold := s.State.Hold(e); hold != nil {
			out.Holds = append(out.Holds, client.Held{Execution: e.ID, Hold: *hold})
		}
	}
	if s.Last == nil {
		return out
	}
	e := s.Last
	out.Last = &client.LastExecution{
		ID: e.ID, Number: e.Number, Type: e.Type, Status: e.Status, Trigger: e.Trigger.Type, Branch: e.Revision.Branch, Commit: e.Revision.Commit,
		Message: e.Revision.Message, Author: e.Revision.Author, Started: e.Started, Ended: e.Ended, Stages: []client.StageSpan{},
	}
	for _, stage := range e.Stages {
		span := client.StageSpan{Name: stage.Name, Status: stage.Status}
		span.Started, span.Ended = stage.Span()
		out.Last.Stages = append(out.Last.Stages, span)
	}
	return out
}

// watchOverview sends at once that all may be different, and then which
// pipelines are, until the client goes.
func (s *Server) watchOverview(ctx context.Context, _ *none, send sse.Sender) {
	news, stop := s.Engine.WatchAll()
	defer stop()
	change := client.OverviewChange{Pipelines: []string{}}
	for {
		if send.Data(change) != nil {
			return
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return
		}
		select {
		case <-news.Come:
			change.Pipelines = news.Take()
		case <-ctx.Done():
			return
		}
	}
}
