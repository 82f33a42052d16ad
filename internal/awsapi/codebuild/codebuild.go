// Package codebuild answers AWS's own clients about builds: its noun is an
// operation of CodeBuild's API (version 2016-10-06). It stands between the wire
// and the projects: requests that were let in and have the right form come from
// package wire, what they ask for is done by the rooms of package project, whose
// words are CodeBuild's too. It decides nothing about builds, and how they run it
// does not know.
package codebuild

import (
	"context"
	_ "embed" // for model.json
	"encoding/json"
	"errors"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/project/reports"
)

//go:generate sh -c "python3 ../wire/model.py codebuild > model.new && mv model.new model.json"

//go:embed model.json
var modelFile []byte

// Projects are the projects and their builds. Errors that a client has made are
// *project.Error. It is implemented by *builder.Builder.
type Projects interface {
	Create(ctx context.Context, d project.Definition) (project.Project, error)
	Update(ctx context.Context, name string, members map[string]json.RawMessage) (project.Project, error)
	Delete(ctx context.Context, name string) error
	Project(ctx context.Context, name string) (project.Project, error)
	Projects(ctx context.Context) ([]project.Project, error)
}

// Builds are the builds of projects. It is implemented by *builder.Builder.
type Builds interface {
	Start(ctx context.Context, req builder.StartRequest) (project.Build, error)
	Retry(ctx context.Context, id string, req builder.StartRequest) (project.Build, error)
	Stop(ctx context.Context, id string) (project.Build, error)
	Build(ctx context.Context, id string) (project.Build, error)
	Builds(ctx context.Context, f builder.Filter) ([]builder.Listed, error)
	DeleteBuild(ctx context.Context, id string) error
}

// Batches are the batches of builds, beside what Builds tells of them. It is
// implemented by *builder.Builder.
type Batches interface {
	RetryBatch(ctx context.Context, id string, all bool, req builder.StartRequest) (project.Build, error)
	DeleteBatch(ctx context.Context, id string) (builds []string, err error)
	Parts(ctx context.Context, batch string) ([]project.Build, error)
}

// Groups are the groups of reports. It is implemented by *reports.Shelf.
type Groups interface {
	CreateGroup(ctx context.Context, g reports.Group) (reports.Group, error)
	UpdateGroup(ctx context.Context, name string, export json.RawMessage, tags []project.Tag) (reports.Group, error)
	DeleteGroup(ctx context.Context, name string, reports bool) error
	Group(ctx context.Context, name string) (reports.Group, error)
	Groups(ctx context.Context) ([]reports.Group, error)
}

// Reports are what the tests of builds have said. It is implemented by
// *reports.Shelf.
type Reports interface {
	Report(ctx context.Context, id string) (reports.Report, error)
	Reports(ctx context.Context, f reports.Filter) ([]reports.Listed, error)
	Whole(ctx context.Context, id string) (reports.Report, pipeline.Report, error)
	DeleteReport(ctx context.Context, id string) error
}

var (
	_ Projects = (*builder.Builder)(nil)
	_ Builds   = (*builder.Builder)(nil)
	_ Batches  = (*builder.Builder)(nil)
	_ Groups   = (*reports.Shelf)(nil)
	_ Reports  = (*reports.Shelf)(nil)
)

// Config is what the API needs.
type Config struct {
	Projects Projects
	Builds   Builds
	Batches  Batches
	Groups   Groups
	Reports  Reports
	// Pages makes the tokens of pages.
	Pages wire.Pages
}

// service carries the operations out.
type service struct{ Config }

// New makes the API for a wire.Handler.
func New(config Config) (wire.API, error) {
	model, err := wire.ReadModel(modelFile, func(*wire.Model) {}, "SensitiveString", "SensitiveNonEmptyString")
	if err != nil {
		return wire.API{}, err
	}
	s := &service{config}
	return wire.API{Name: "codebuild", Target: "CodeBuild_20161006", Version: "2016-10-06", Model: model, Operations: s.operations()}, nil
}

// does makes a row of a method whose request is an In, by its JSON tags.
func does[In, Out any](needs client.Role, method func(ctx context.Context, c wire.Call, in In) (*Out, error)) wire.Operation {
	return wire.Operation{Needs: needs, Run: func(ctx context.Context, c wire.Call, request map[string]any) (any, error) {
		var in In
		text, err := json.Marshal(request)
		if err == nil {
			err = json.Unmarshal(text, &in)
		}
		if err != nil {
			// Only a number that is too large gets past the model's check.
			return nil, wire.Faultf("SerializationException", "A value of the request does not fit its member.")
		}
		out, err := method(ctx, c, in)
		if err != nil {
			return nil, refused(err)
		}
		return out, nil
	}}
}

// refused says in CodeBuild's words what a client can mend, and leaves other
// errors as they are.
func refused(err error) error {
	refusal, ok := errors.AsType[*project.Error](err)
	if !ok {
		return err
	}
	code := "InvalidInputException"
	switch {
	case errors.Is(err, project.ErrNotFound):
		code = "ResourceNotFoundException"
	case errors.Is(err, project.ErrExists):
		code = "ResourceAlreadyExistsException"
	case errors.Is(err, project.ErrTooMany):
		code = "AccountLimitExceededException"
	}
	return wire.Faultf(code, "%s", refusal.Message)
}
