package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/towline/towline/internal/dockerfile"
)

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
