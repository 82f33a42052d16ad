package codebuild

import (
	"context"
	"errors"
	"fmt"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
)

// buildPrefix begins the id of a build in its ARN.
const buildPrefix = "build/"

// buildID is the id in the ARN of a build, or what was given.
func buildID(given string) string { return named(buildPrefix, given) }

// LogGroup is the name of the log group of a project.
func LogGroup(name string) string { return "/aws/codebuild/" + name }

// build is the build of an id. The error is of the kind project.ErrNotFound when
// there is none, also when the id is that of a batch.
func (s *service) build(ctx context.Context, given string) (project.Build, error) {
	b, err := s.Builds.Build(ctx, buildID(given))
	if err == nil && b.Batch != nil {
		err = &project.Error{Kind: project.ErrNotFound, Message: fmt.Sprintf("there is no build %.300q: it is a batch of builds", given)}
	}
	return b, err
}

type idsInput struct {
	IDs []string `json:"ids"`
}

type buildsOutput struct {
	Builds         []document
	BuildsNotFound []string
}

func (s *service) batchGetBuilds(ctx context.Context, c wire.Call, in idsInput) (*buildsOutput, error) {
	found, missing, err := documents(in.IDs, func(given string) (document, error) {
		b, err := s.build(ctx, given)
		if err != nil {
			return nil, err
		}
		return buildDocument(c, b)
	})
	return &buildsOutput{found, missing}, err
}

type deletedOutput struct {
	BuildsDeleted    []string
	BuildsNotDeleted []document
}

func (s *service) batchDeleteBuilds(ctx context.Context, _ wire.Call, in idsInput) (*deletedOutput, error) {
	out := &deletedOutput{BuildsDeleted: []string{}, BuildsNotDeleted: []document{}}
	for _, given := range in.IDs {
		b, err := s.build(ctx, given)
		if err == nil {
			err = s.Builds.DeleteBuild(ctx, b.ID)
		}
		var code string
		switch {
		case errors.Is(err, project.ErrNotFound):
			code = "BUILD_NOT_FOUND"
		case errors.Is(err, project.ErrInvalid):
			code = "BUILD_IN_PROGRESS"
		case err != nil:
			return nil, err
		default:
			out.BuildsDeleted = append(out.BuildsDeleted, given)
			continue
		}
		doc := document{}
		doc.set("id", given)
		doc.set("statusCode", code)
		out.BuildsNotDeleted = append(out.BuildsNotDeleted, doc)
	}
	return out, nil
}

type listBuildsInput struct {
	ProjectName string `json:"projectName"`
	SortOrder   string `json:"sortOrder"`
	NextToken   string `json:"nextToken"`
}

type idsOutput struct {
	Ids       []string
	NextToken string
}

func (s *service) listBuilds(ctx context.Context, c wire.Call, in listBuildsInput) (*idsOutput, error) {
	in.ProjectName = ""
	return s.listBuildsForProject(ctx, c, in)
}

func (s *service) listBuildsForProject(ctx context.Context, c wire.Call, in listBuildsInput) (*idsOutput, error) {
	name := projectName(in.ProjectName)
	return s.builds(ctx, asked{wire.List(c.Operation, name, in.SortOrder), in.NextToken, pageSize, in.SortOrder},
		builder.Filter{Project: name, Kind: builder.Alone})
}

// builds lists the ids of builds or batches, of a project when it has a name.
func (s *service) builds(ctx context.Context, a asked, filter builder.Filter) (*idsOutput, error) {
	filter.Ascending = a.order == ascending
	page, next, err := inStore(s, a, func(after int64, limit int) ([]builder.Listed, error) {
		filter.After, filter.Limit = after, limit
		return s.Builds.Builds(ctx, filter)
	}, func(b builder.Listed) int64 { return b.Place })
	if err == nil && len(page) == 0 && a.token == "" && filter.Project != "" {
		// The builds of a project that is gone are listed; one that never was is
		// a mistake.
		_, err = s.Projects.Project(ctx, filter.Project)
	}
	if err != nil {
		return nil, err
	}
	out := &idsOutput{Ids: []string{}, NextToken: next}
	for _, b := range page {
		out.Ids = append(out.Ids, b.ID)
	}
	return out, nil
}
