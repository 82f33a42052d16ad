package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
)

// AccessKeys are the keys with which AWS's clients sign. Revoke's error wraps
// store.ErrNotFound when there is none.
type AccessKeys interface {
	List(ctx context.Context) ([]client.AccessKey, error)
	Create(ctx context.Context, role client.Role, note string) (client.NewAccessKey, error)
	Revoke(ctx context.Context, id string) error
}

// accessKeyRoutes are for the admin alone, as the whole API is: no access key
// makes another one.
func (s *Server) accessKeyRoutes(api huma.API) {
	huma.Get(api, "/access-keys", s.listAccessKeys)
	huma.Register(api, huma.Operation{
		OperationID: "create-access-key", Method: http.MethodPost, Path: "/access-keys", Summary: "Make an access key for AWS's clients",
		Description: "The secret is in this one answer and nowhere else: it is encrypted at rest and never given back.",
	}, s.createAccessKey)
	huma.Delete(api, "/access-keys/{id}", s.revokeAccessKey)
}

func (s *Server) listAccessKeys(ctx context.Context, _ *none) (*answer[[]client.AccessKey], error) {
	found, err := s.AccessKeys.List(ctx)
	if err != nil {
		return nil, s.fail("list access keys", err)
	}
	return &answer[[]client.AccessKey]{found}, nil
}

func (s *Server) createAccessKey(ctx context.Context, in *struct{ Body client.AccessKeyRequest }) (*answer[client.NewAccessKey], error) {
	role := in.Body.Role
	if role == "" {
		role = client.Viewer
	}
	made, err := s.AccessKeys.Create(ctx, role, in.Body.Note)
	if err != nil {
		return nil, s.fail("create access key", err)
	}
	return &answer[client.NewAccessKey]{made}, nil
}

func (s *Server) revokeAccessKey(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"128"`
}) (*none, error) {
	if err := s.AccessKeys.Revoke(ctx, in.ID); err != nil {
		return nil, s.fail("revoke access key", err)
	}
	return nil, nil
}
