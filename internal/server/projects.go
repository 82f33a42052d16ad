package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/report"
)

// Builder keeps projects and runs their builds. Errors that a client has made
// are *project.Error.
type Builder interface {
	Put(ctx context.Context, d project.Definition) (project.Project, error)
	Delete(ctx context.Context, name string) error
	Project(ctx context.Context, name string) (project.Project, error)
	Projects(ctx context.Context) ([]project.Project, error)

	Start(ctx context.Context, req builder.StartRequest) (project.Build, error)
	Retry(ctx context.Context, id string, req builder.StartRequest) (project.Build, error)
	Stop(ctx context.Context, id string) (project.Build, error)
	Build(ctx context.Context, id string) (project.Build, error)
	Builds(ctx context.Context, f builder.Filter) ([]builder.Listed, error)
	LogFile(b project.Build) string
}

var _ Builder = (*builder.Builder)(nil)

func (s *Server) projectRoutes(api huma.API) {
	if s.Builder == nil {
		return
	}
	huma.Get(api, "/projects", s.listProjects)
	huma.Get(api, "/projects/{name}", s.getProject)
	huma.Put(api, "/projects/{name}", s.putProject)
	huma.Delete(api, "/projects/{name}", s.deleteProject)
	huma.Post(api, "/projects/{name}/builds", s.startBuild)
	huma.Get(api, "/builds", s.listBuilds)
	huma.Get(api, "/builds/{id}", s.getBuild)
	huma.Post(api, "/builds/{id}/stop", s.stopBuild)
	huma.Post(api, "/builds/{id}/retry", s.retryBuild)
	huma.Get(api, "/builds/{id}/log", s.getBuildLog)
}

// projectError maps a refusal about projects to an answer.
func (s *Server) projectError(what string, err error) error {
	refusal, ok := errors.AsType[*project.Error](err)
	switch {
	case !ok:
		return s.fail(what, err)
	case errors.Is(err, project.ErrNotFound):
		return huma.Error404NotFound(refusal.Message)
	case errors.Is(err, project.ErrExists), errors.Is(err, project.ErrTooMany):
		return huma.NewError(http.StatusConflict, refusal.Message)
	}
	return huma.Error422UnprocessableEntity(refusal.Message)
}

func showProject(p project.Project) (client.Project, error) {
	text, err := json.Marshal(p.Definition)
	return client.Project{Name: p.Definition.Name, Definition: text, Builds: p.Builds, Created: p.Created, Updated: p.Updated}, err
}

func showBuild(b project.Build) client.Build {
	shown := client.Build{
		ID: b.ID, Project: b.Project, Number: b.Number, Status: string(b.Status), Phase: b.Phase, Phases: []client.BuildPhase{}, Version: b.Version, Resolved: b.Resolved,
		Initiator: b.Initiator, Started: b.Started, Ended: b.Ended, Message: b.Message, Artifacts: b.Artifacts, Exported: b.Exported, Tests: b.Tests, RetryOf: b.RetryOf,
		Batch: b.Batch != nil, PartOf: b.PartOf, Part: b.Identifier,
	}
	for _, p := range b.Phases {
		shown.Phases = append(shown.Phases, client.BuildPhase{Name: p.Name, Status: string(p.Status), Started: p.Started, Ended: p.Ended, Message: p.Message})
	}
	if b.Action != nil {
		shown.Execution = b.Action.Execution
	}
	return shown
}

// withLast shows a project with its newest build.
func (s *Server) withLast(ctx context.Context, p project.Project) (client.Project, error) {
	shown, err := showProject(p)
	if err != nil {
		return shown, err
	}
	last, err := s.Builder.Builds(ctx, builder.Filter{Project: shown.Name, Limit: 1})
	if err == nil && len(last) > 0 {
		b := showBuild(last[0].Build)
		shown.Last = &b
	}
	return shown, err
}

func (s *Server) listProjects(ctx context.Context, _ *none) (*answer[[]client.Project], error) {
	all, err := s.Builder.Projects(ctx)
	found := []client.Project{}
	for _, p := range all {
		var shown client.Project
		if shown, err = s.withLast(ctx, p); err != nil {
			break
		}
		found = append(found, shown)
	}
	if err != nil {
		return nil, s.projectError("list projects", err)
	}
	return &answer[[]client.Project]{found}, nil
}

type projectRequest struct {
	Name string `path:"name"`
}

func (s *Server) getProject(ctx context.Context, in *projectRequest) (*answer[client.Project], error) {
	p, err := s.Builder.Project(ctx, in.Name)
	if err != nil {
		return nil, s.projectError("get project", err)
	}
	shown, err := s.withLast(ctx, p)
	if err != nil {
		return nil, s.projectError("get project", err)
	}
	return &answer[client.Project]{shown}, nil
}

func (s *Server) putProject(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body json.RawMessage
}) (*answer[client.Project], error) {
	var d project.Definition
	if err := json.Unmarshal(in.Body, &d); err != nil {
		return nil, huma.Error422UnprocessableEntity("the project is not JSON in the form of CodeBuild's CreateProject: " + err.Error())
	}
	if d.Name != in.Name {
		return nil, huma.Error422UnprocessableEntity("the project's name is not that of its address")
	}
	p, err := s.Builder.Put(ctx, d)
	if err != nil {
		return nil, s.projectError("put project", err)
	}
	shown, err := showProject(p)
	if err != nil {
		return nil, s.projectError("put project", err)
	}
	return &answer[client.Project]{shown}, nil
}

func (s *Server) deleteProject(ctx context.Context, in *projectRequest) (*none, error) {
	if err := s.Builder.Delete(ctx, in.Name); err != nil {
		return nil, s.projectError("delete project", err)
	}
	return nil, nil
}

func (s *Server) startBuild(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body client.BuildRequest
}) (*answer[client.Build], error) {
	var variables []project.Variable
	for _, name := range slices.Sorted(maps.Keys(in.Body.Env)) {
		variables = append(variables, project.Variable{Name: name, Value: in.Body.Env[name]})
	}
	b, err := s.Builder.Start(ctx, builder.StartRequest{
		Project: in.Name, Version: in.Body.Version, Batch: in.Body.Batch, Initiator: caller(ctx).Name, Change: func(d *project.Definition) { d.Environment.Override(variables) },
	})
	return s.shownBuild("start build", b, err)
}

func (s *Server) shownBuild(what string, b project.Build, err error) (*answer[client.Build], error) {
	if err != nil {
		return nil, s.projectError(what, err)
	}
	return &answer[client.Build]{showBuild(b)}, nil
}

func (s *Server) listBuilds(ctx context.Context, in *struct {
	Project string `query:"project" doc:"default all"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"20"`
}) (*answer[[]client.Build], error) {
	all, err := s.Builder.Builds(ctx, builder.Filter{Project: in.Project, Limit: in.Limit})
	if err == nil && len(all) == 0 && in.Project != "" {
		_, err = s.Builder.Project(ctx, in.Project)
	}
	if err != nil {
		return nil, s.projectError("list builds", err)
	}
	found := []client.Build{}
	for _, b := range all {
		found = append(found, showBuild(b.Build))
	}
	return &answer[[]client.Build]{found}, nil
}

type buildRequest struct {
	ID string `path:"id"`
}

func (s *Server) getBuild(ctx context.Context, in *buildRequest) (*answer[client.Build], error) {
	b, err := s.Builder.Build(ctx, in.ID)
	return s.shownBuild("get build", b, err)
}

func (s *Server) stopBuild(ctx context.Context, in *buildRequest) (*answer[client.Build], error) {
	b, err := s.Builder.Stop(ctx, in.ID)
	return s.shownBuild("stop build", b, err)
}

func (s *Server) retryBuild(ctx context.Context, in *buildRequest) (*answer[client.Build], error) {
	b, err := s.Builder.Retry(ctx, in.ID, builder.StartRequest{Initiator: caller(ctx).Name})
	return s.shownBuild("retry build", b, err)
}

// getBuildLog streams the log of a build as plain text, each line stamped with
// its time.
func (s *Server) getBuildLog(ctx context.Context, in *struct {
	ID     string `path:"id"`
	Offset int64  `query:"offset" minimum:"0" doc:"byte to begin with"`
	Follow bool   `query:"follow" doc:"true goes on until the build has ended"`
}) (*huma.StreamResponse, error) {
	b, err := s.Builder.Build(ctx, in.ID)
	if err != nil {
		return nil, s.projectError("get log", err)
	}
	looks := 0
	ended := func() bool {
		// The log is looked at often, and the database now and then.
		if looks++; !in.Follow || b.Done() {
			return true
		}
		if looks%10 == 0 {
			if now, err := s.Builder.Build(ctx, in.ID); err == nil {
				b = now
			}
		}
		return false
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hctx.SetHeader("X-Content-Type-Options", "nosniff")
		out := newPaced(hctx.BodyWriter())
		err := report.Follow(ctx, s.Builder.LogFile(b), in.Offset, ended, func(line report.Line) error { return out.write(asStored(line)) })
		if err = errors.Join(err, out.close()); err != nil {
			// The log is not at its end: break the connection, so that the
			// client knows.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}
