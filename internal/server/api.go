package server

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// answer is a huma response whose body is T.
type answer[T any] struct{ Body T }

type none struct{}

// describedAPI is the native API, described by OpenAPI 3.1 at
// /api/v1/openapi.json.
func (s *Server) describedAPI() http.Handler {
	mux := http.NewServeMux()
	settings := huma.DefaultConfig("Towline", s.Version)
	settings.OpenAPIPath, settings.DocsPath, settings.SchemasPath = "/api/v1/openapi", "", "/api/v1/schemas"
	// Answers are the types of package client, without a $schema link.
	settings.CreateHooks = nil
	settings.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	settings.Transformers = append(settings.Transformers, withoutInput)
	api := humago.New(mux, settings)
	s.signInRoutes(huma.NewGroup(api, "/api/v1"))
	group := guarded(api, "/api/v1")
	s.sessionRoutes(group)

	huma.Get(group, "/version", s.getVersion)
	huma.Get(group, "/repositories", s.listRepositories)
	huma.Post(group, "/repositories", s.createRepository)
	huma.Get(group, "/pipelines", s.listPipelines)
	huma.Get(group, "/pipelines/{name}", s.getPipeline)
	huma.Get(group, "/pipelines/{name}/executions", s.listExecutions)
	huma.Post(group, "/pipelines/{name}/executions", s.startExecution)
	huma.Get(group, "/executions/{id}", s.getExecution)
	huma.Get(group, "/executions/{id}/stages/{stage}/{attempt}/actions/{action}/log", s.getLog)
	s.controlRoutes(group)
	s.changeRoutes(group)
	s.mirrorRoutes(group)
	s.projectRoutes(group)
	s.clusterRoutes(group)
	s.accessKeyRoutes(group)
	s.secretRoutes(group)
	s.attestRoutes(group)
	s.notificationRoutes(group)
	s.functionRoutes(group)
	s.testRoutes(group)
	s.overviewRoutes(group)
	sse.Register(group, huma.Operation{OperationID: "watch-execution", Method: http.MethodGet, Path: "/executions/{id}/watch"},
		map[string]any{"execution": client.Execution{}}, s.watchExecution)
	return mux
}

// withoutInput takes out of an error what was sent: it may hold a secret, and
// errors are logged and pasted.
func withoutInput(_ huma.Context, _ string, answer any) (any, error) {
	if problem, ok := answer.(*huma.ErrorModel); ok {
		for _, detail := range problem.Errors {
			detail.Value = nil
		}
	}
	return answer, nil
}

// schemaName keeps the API's own types apart from the nouns that they hold:
// Execution is the client's, PipelineExecution the state machine's.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/pipeline") {
		return "Pipeline" + name
	}
	return name
}

// fail maps an error of the rooms below to an answer.
func (s *Server) fail(what string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return huma.Error404NotFound(err.Error())
	}
	s.Logger.Error("request failed", "request", what, "error", err)
	return huma.Error500InternalServerError(what + ": " + err.Error())
}

func (s *Server) getVersion(context.Context, *none) (*answer[client.Version], error) {
	return &answer[client.Version]{client.Version{Version: s.Version}}, nil
}

func (s *Server) listPipelines(ctx context.Context, _ *none) (*answer[[]client.Pipeline], error) {
	definitions, err := s.Store.Pipelines(ctx)
	if err != nil {
		return nil, s.fail("list pipelines", err)
	}
	found := []client.Pipeline{}
	for _, d := range definitions {
		p, err := s.pipeline(ctx, d)
		if err != nil {
			return nil, s.fail("list pipelines", err)
		}
		found = append(found, p)
	}
	return &answer[[]client.Pipeline]{found}, nil
}

func (s *Server) getPipeline(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*answer[client.Pipeline], error) {
	d, err := s.Store.Pipeline(ctx, in.Name)
	if err != nil {
		return nil, s.fail("get pipeline", err)
	}
	p, err := s.pipeline(ctx, d)
	if err != nil {
		return nil, s.fail("get pipeline", err)
	}
	return &answer[client.Pipeline]{p}, nil
}

func (s *Server) pipeline(ctx context.Context, d store.Definition) (client.Pipeline, error) {
	p := client.Pipeline{Pipeline: d.Pipeline.Mask(s.SecretMember), Repository: d.Repository, Updated: d.Updated}
	last, err := s.Store.Executions(ctx, d.Pipeline.Name, 0, 1)
	if err == nil && len(last) > 0 {
		shown := s.show(ctx, last[0])
		p.Last = &shown
	}
	return p, err
}

func (s *Server) listExecutions(ctx context.Context, in *struct {
	Name   string `path:"name"`
	Before int    `query:"before" minimum:"0"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"20"`
}) (*answer[[]client.Execution], error) {
	if _, err := s.Store.Pipeline(ctx, in.Name); err != nil {
		return nil, s.fail("list executions", err)
	}
	executions, err := s.Store.Executions(ctx, in.Name, in.Before, in.Limit)
	if err != nil {
		return nil, s.fail("list executions", err)
	}
	found := []client.Execution{}
	for _, e := range executions {
		found = append(found, s.show(ctx, e))
	}
	return &answer[[]client.Execution]{found}, nil
}

func (s *Server) startExecution(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body client.RunRequest
}) (*answer[client.Execution], error) {
	e, err := s.Run(ctx, engine.StartRequest{Pipeline: in.Name, Trigger: pipeline.Trigger{Type: pipeline.TriggerManual}, Variables: in.Body.Variables}, in.Body.Branch)
	if _, ok := errors.AsType[*source.Error](err); ok {
		return nil, s.repositoryError("start execution", err)
	}
	if err != nil {
		return nil, s.refused("start execution", err)
	}
	return &answer[client.Execution]{s.show(ctx, e)}, nil
}

func (s *Server) getExecution(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*answer[client.Execution], error) {
	e, err := s.Store.Execution(ctx, in.ID)
	if err != nil {
		return nil, s.fail("get execution", err)
	}
	return &answer[client.Execution]{s.show(ctx, e)}, nil
}

// show adds what only the engine's memory knows and why the execution waits, and
// leaves out the secrets of actions.
func (s *Server) show(ctx context.Context, e pipeline.Execution) client.Execution {
	hold := s.hold(ctx, e)
	e.Definition = e.Definition.Mask(s.SecretMember)
	shown := client.Execution{Execution: e, Hold: hold}
	for _, stage := range e.Stages {
		for _, action := range stage.Actions {
			line := s.Engine.Progress(e.ID, stage.Name, stage.Attempt, action.Name)
			if line == "" {
				continue
			}
			if shown.Progress == nil {
				shown.Progress = map[string]string{}
			}
			shown.Progress[stage.Name+"/"+action.Name] = line
		}
	}
	return shown
}

// hold tells why an execution waits. The others are looked at only where they
// can be in its way.
func (s *Server) hold(ctx context.Context, e pipeline.Execution) *pipeline.Hold {
	if !e.Waiting() {
		return nil
	}
	if alone := (pipeline.State{}).Hold(e); alone != nil {
		return alone
	}
	state, err := s.Store.State(ctx, e.Pipeline)
	if err != nil {
		s.Logger.Warn("look why it waits", "execution", e.ID, "error", err)
		return nil
	}
	return state.Hold(e)
}
