// Package buildkit builds Dockerfiles by BuildKit, over its own client: by one
// at an address that the server's administrator names, and by one of Towline's
// own that package daemon keeps. The room knows BuildKit's words; what is built
// and where it goes is for others to know.
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

// Daemon is a BuildKit that is started when somebody needs it.
type Daemon interface {
	// Use has it run until release is called, and longer. Dial connects to it.
	Use(ctx context.Context, progress func(string)) (dial func(context.Context) (net.Conn, error), release func(), err error)
	// Ended says why it does not run any more, "" while it runs. It waits that
	// long for the end of one that is about to end.
	Ended(within time.Duration) string
}

// Own is a BuildKit that Towline runs itself.
type Own struct{ Daemon Daemon }

var _ dockerfile.Way = (*Own)(nil)

// Name is what people call it.
func (o *Own) Name() string { return "a BuildKit of Towline's own" }

// Build starts the daemon if it does not run. When that ends in the middle of
// the build it is done once more, by a fresh daemon that has kept what was done.
func (o *Own) Build(ctx context.Context, b dockerfile.Build) (dockerfile.Result, error) {
	result, err := o.try(ctx, b)
	if err == nil || ctx.Err() != nil || !errors.Is(err, dockerfile.ErrLost) {
		return result, err
	}
	b.Say("warning: %v", err)
	b.Say("building once more")
	if err := os.RemoveAll(b.Output); err != nil {
		return result, fmt.Errorf("remove what was built by half: %w", err)
	}
	return o.try(ctx, b)
}

func (o *Own) try(ctx context.Context, b dockerfile.Build) (result dockerfile.Result, err error) {
	progress := b.Progress
	if progress == nil {
		progress = func(string) {}
	}
	dial, release, err := o.Daemon.Use(ctx, progress)
	if err != nil {
		return result, err
	}
	defer release()
	c, err := client.New(ctx, "unix:///buildkitd.sock", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		return result, fmt.Errorf("connect to BuildKit: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	result, err = solve(ctx, c, b, asLayout(b))
	if err == nil || ctx.Err() != nil {
		return result, err
	}
	var within time.Duration
	if errors.Is(err, dockerfile.ErrLost) {
		within = endWithin
	}
	if why := o.Daemon.Ended(within); why != "" {
		return result, fmt.Errorf("build with BuildKit: %w: %s", dockerfile.ErrLost, strings.TrimSpace(why))
	}
	return result, err
}

// endWithin is how long a daemon that was lost may take to have ended. Until then
// it may still take connections, which nobody serves.
const endWithin = 5 * time.Second
