// Package buildkit builds Dockerfiles by BuildKit, over its own client: by one
// at an address that the server's administrator names, by the one in a Docker,
// and by one of Towline's own that package daemon keeps. The room knows BuildKit's
// words; what is built and where it goes is for others to know.
package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"github.com/towline/towline/internal/dockerfile"
)

// answerWithin is how long a BuildKit may take to answer at first.
const answerWithin = 20 * time.Second

// Remote is a BuildKit that somebody else runs.
type Remote struct {
	// Address is unix:///PATH or tcp://HOST:PORT.
	Address string
	// TLS is a directory with ca.pem, cert.pem and key.pem, for tcp. Empty
	// means no TLS.
	TLS string
}

var _ dockerfile.Way = (*Remote)(nil)

// CheckAddress tells whether an address is one of Remote's.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "unix" && filepath.IsAbs(u.Path) && u.Host == "" || u.Scheme == "tcp" && u.Port() != "" && u.Path == "") {
		return nil
	}
	return fmt.Errorf("%q is not the address of a BuildKit: write it like unix:///run/buildkit/buildkitd.sock or tcp://buildkit.example.com:1234", address)
}

// Name names the address.
func (r *Remote) Name() string { return "the BuildKit at " + r.Address }

// Build has the BuildKit at the address carry it out.
func (r *Remote) Build(ctx context.Context, b dockerfile.Build) (result dockerfile.Result, err error) {
	options, err := r.options()
	if err != nil {
		return result, err
	}
	if err := r.listens(ctx); err != nil {
		return result, fmt.Errorf("connect to %s: %w; check that it runs and that this machine reaches it", r.Address, err)
	}
	c, err := client.New(ctx, r.Address, options...)
	if err != nil {
		return result, fmt.Errorf("connect to %s: %w", r.Address, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := answers(ctx, c); err != nil {
		return result, fmt.Errorf("connect to %s: %w; check that it is a BuildKit, and that --buildkit-tls names certificates that it takes, or nothing when it has none", r.Address, err)
	}
	return solve(ctx, c, b, asLayout(b))
}

// options say how the address is spoken to.
func (r *Remote) options() ([]client.ClientOpt, error) {
	if err := CheckAddress(r.Address); err != nil {
		return nil, err
	}
	if r.TLS == "" {
		return nil, nil
	}
	u, err := url.Parse(r.Address)
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(r.TLS, name) }
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		if _, err := os.Stat(file(name)); err != nil {
			return nil, fmt.Errorf("read the certificates for %s: %w", r.Address, err)
		}
	}
	return []client.ClientOpt{
		client.WithServerConfig(u.Hostname(), file("ca.pem")),
		client.WithCredentials(file("cert.pem"), file("key.pem")),
	}, nil
}

// listens tells whether somebody takes connections there. The client itself would
// try for as long as it may, and tell of no reason.
func (r *Remote) listens(ctx context.Context) error {
	network, address, _ := strings.Cut(r.Address, "://")
	dialer := net.Dialer{Timeout: answerWithin}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// answers tells whether what listens there is a BuildKit that takes us. The
// client's own Wait would hide why it does not.
func answers(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, fmt.Errorf("it did not answer in %v", answerWithin))
	defer cancel()
	_, err := c.Info(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if grpcerrors.Code(err) == codes.Unimplemented { // by those of before 0.11
		return nil
	}
	return err
}
