package server

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/source"
)

func (s *Server) listRepositories(ctx context.Context, _ *none) (*answer[[]client.Repository], error) {
	names, err := s.Repositories.List(ctx)
	if err != nil {
		return nil, s.repositoryError("list repositories", err)
	}
	found := []client.Repository{}
	for _, name := range names {
		found = append(found, s.repository(name))
	}
	return &answer[[]client.Repository]{found}, nil
}

func (s *Server) createRepository(ctx context.Context, in *struct{ Body client.Repository }) (*answer[client.Repository], error) {
	if err := s.Repositories.Create(ctx, in.Body.Name); err != nil {
		return nil, s.repositoryError("create repository", err)
	}
	return &answer[client.Repository]{s.repository(in.Body.Name)}, nil
}

func (s *Server) repository(name string) client.Repository {
	return client.Repository{Name: name, URL: s.reach() + "/git/" + name + ".git"}
}

// repositoryError maps the git server's errors to answers.
func (s *Server) repositoryError(what string, err error) error {
	switch {
	case errors.Is(err, source.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, source.ErrExists):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, source.ErrInvalid), errors.Is(err, source.ErrTooLarge):
		return huma.Error422UnprocessableEntity(err.Error())
	}
	return s.fail(what, err)
}
