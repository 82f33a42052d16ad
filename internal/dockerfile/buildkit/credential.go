package buildkit

import (
	"context"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"

	"github.com/towline/towline/internal/dockerfile"
)

// credentials answers BuildKit when a registry wants to know who pulls. The rest
// of the protocol, by which the client would fetch tokens itself, is left out:
// BuildKit fetches them then.
type credentials struct {
	auth.UnimplementedAuthServer
	ask func(ctx context.Context, host string) (dockerfile.Credential, error)
}

var (
	_ session.Attachable = (*credentials)(nil)
	_ auth.AuthServer    = (*credentials)(nil)
)

// Register makes it part of a session.
func (c *credentials) Register(server *grpc.Server) { auth.RegisterAuthServer(server, c) }

// Credentials gives what is known for a host, empty when nothing is.
func (c *credentials) Credentials(ctx context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	known, err := c.ask(ctx, req.GetHost())
	if err != nil {
		return nil, err
	}
	return &auth.CredentialsResponse{Username: known.User, Secret: known.Password}, nil
}
