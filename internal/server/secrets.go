package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
)

// Secrets are what builds get to know by its name. Errors are *secret.Error for
// what is wrong with a request, store.ErrNotFound and *secret.LostKeyError; none
// holds a value.
type Secrets interface {
	List(ctx context.Context) ([]client.Secret, error)
	Set(ctx context.Context, req client.SecretRequest) (client.Secret, error)
	Delete(ctx context.Context, name string) error
}

// secretRoutes are for the admin alone, as the whole API is, and no answer has
// a value in it. Builds get theirs from the server itself.
func (s *Server) secretRoutes(api huma.API) {
	huma.Get(api, "/secrets", s.listSecrets)
	huma.Register(api, huma.Operation{
		OperationID: "set-secret", Method: http.MethodPost, Path: "/secrets", Summary: "Store a secret, or a new version of it",
		Description:  "The value is encrypted at rest and never given back: builds that may use it get it.",
		MaxBodyBytes: 8 * secret.MaxValue, // JSON may write a byte as six
	}, s.setSecret)
	huma.Delete(api, "/secrets", s.deleteSecret)
}

func (s *Server) secretError(what string, err error) error {
	if wrong, ok := errors.AsType[*secret.Error](err); ok {
		return huma.Error422UnprocessableEntity(wrong.Error())
	}
	if lost, ok := errors.AsType[*secret.LostKeyError](err); ok {
		return huma.Error409Conflict(lost.Error())
	}
	return s.fail(what, err)
}

func (s *Server) listSecrets(ctx context.Context, _ *none) (*answer[[]client.Secret], error) {
	found, err := s.Secrets.List(ctx)
	if err != nil {
		return nil, s.secretError("list secrets", err)
	}
	return &answer[[]client.Secret]{found}, nil
}

func (s *Server) setSecret(ctx context.Context, in *struct{ Body client.SecretRequest }) (*answer[client.Secret], error) {
	changed, err := s.Secrets.Set(ctx, in.Body)
	if err != nil {
		return nil, s.secretError("set secret", err)
	}
	return &answer[client.Secret]{changed}, nil
}

func (s *Server) deleteSecret(ctx context.Context, in *struct {
	Name string `query:"name" required:"true" maxLength:"512"`
}) (*none, error) {
	if err := s.Secrets.Delete(ctx, in.Name); err != nil {
		return nil, s.secretError("delete secret", err)
	}
	return nil, nil
}
