package server

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// Mirrors are the repositories that lie elsewhere.
type Mirrors interface {
	List(ctx context.Context) ([]client.Mirror, error)
	// Add makes a mirror and fills it. Its errors are the git server's, or wrap
	// store.ErrExists.
	Add(ctx context.Context, req client.MirrorRequest) (client.NewMirror, error)
	// Remove's error wraps store.ErrNotFound when there is none.
	Remove(ctx context.Context, name string) error
}

func (s *Server) mirrorRoutes(api huma.API) {
	huma.Get(api, "/mirrors", s.listMirrors)
	huma.Post(api, "/mirrors", s.addMirror)
	huma.Delete(api, "/mirrors/{name}", s.removeMirror)
}

func (s *Server) listMirrors(ctx context.Context, _ *none) (*answer[[]client.Mirror], error) {
	found, err := s.Mirrors.List(ctx)
	if err != nil {
		return nil, s.fail("list mirrors", err)
	}
	for i := range found {
		found[i].Webhook = s.webhook(found[i].Name)
	}
	return &answer[[]client.Mirror]{found}, nil
}

func (s *Server) addMirror(ctx context.Context, in *struct{ Body client.MirrorRequest }) (*answer[client.NewMirror], error) {
	made, err := s.Mirrors.Add(ctx, in.Body)
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, huma.Error409Conflict(err.Error())
	case errors.Is(err, source.ErrDenied), errors.Is(err, source.ErrUnreachable):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	case err != nil:
		return nil, s.repositoryError("add mirror", err)
	}
	made.Webhook = s.webhook(made.Name)
	return &answer[client.NewMirror]{made}, nil
}

func (s *Server) removeMirror(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*none, error) {
	if err := s.Mirrors.Remove(ctx, in.Name); err != nil {
		return nil, s.fail("remove mirror", err)
	}
	return nil, nil
}

func (s *Server) webhook(name string) string { return s.reach() + "/hooks/" + name }
