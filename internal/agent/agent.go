// Package agent is what Towline runs inside a cluster's pods, and the image
// that carries it: this very program, `towline agent ...`, in an image of
// nothing else. Its noun is the agent. It stands beside deploy, which makes
// the pods; it must not know clusters, strategies or who has asked for it:
// all that an agent is told is in its task.
package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/towline/towline/internal/probe/remote"
)

// TaskVariable is the variable of the environment with the prober's task.
const TaskVariable = remote.TaskVariable

// ProberConfig is what Prober needs. Task, Listen and Out are required.
type ProberConfig struct {
	Task   []byte // JSON of remote.Task
	Listen string // address to answer on
	Out    io.Writer
	Idle   time.Duration // how long nobody may ask before the prober ends, default 15 minutes
	Logger *slog.Logger
}

// Prober sends the requests of its task, and answers who asks for the counts,
// until ctx ends or nobody asks any more.
func Prober(ctx context.Context, cfg ProberConfig) error {
	task, err := remote.ParseTask(cfg.Task)
	if err != nil {
		return fmt.Errorf("%w: the deployer puts it into %s", err, TaskVariable)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for who asks: %w", err)
	}
	return remote.Serve(ctx, remote.ServeConfig{Task: task, Listener: listener, Out: cfg.Out, Idle: cfg.Idle, Logger: cfg.Logger})
}
