package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
)

// AttestKeys are the keys that attestations of images are signed with. The
// private halves never leave it.
type AttestKeys interface {
	// List has the one that signs now first, which is made when there is none.
	List(ctx context.Context) ([]client.AttestKey, error)
	Rotate(ctx context.Context) (client.AttestKey, error)
}

func (s *Server) attestRoutes(api huma.API) {
	huma.Get(api, "/attest-keys", s.listAttestKeys)
	huma.Register(api, huma.Operation{
		OperationID: "rotate-attest-key", Method: http.MethodPost, Path: "/attest-keys", Summary: "Sign with a new key from now on",
		Description: "The old keys stay, to check what they have signed.",
	}, s.rotateAttestKey)
}

func (s *Server) listAttestKeys(ctx context.Context, _ *none) (*answer[[]client.AttestKey], error) {
	found, err := s.AttestKeys.List(ctx)
	if err != nil {
		return nil, s.secretError("list attest keys", err)
	}
	return &answer[[]client.AttestKey]{found}, nil
}

func (s *Server) rotateAttestKey(ctx context.Context, _ *none) (*answer[client.AttestKey], error) {
	made, err := s.AttestKeys.Rotate(ctx)
	if err != nil {
		return nil, s.secretError("rotate attest key", err)
	}
	return &answer[client.AttestKey]{made}, nil
}
