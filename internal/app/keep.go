package app

import (
	"context"
	"time"
)

// keep does something again and again until ctx ends. An error is logged: what
// was not done is still there to be done the next time.
func (a *App) keep(ctx context.Context, every time.Duration, what string, do func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			a.options.Logger.Warn(what, "error", err)
		}
	}
}
