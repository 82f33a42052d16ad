package rule

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/timetable"
)

// DeploymentWindow is the rule DeploymentWindow: it succeeds while the window
// is open. As CodePipeline does, it waits for a window that is closed, until
// the timeout of the rule if it has one. A window that never opens again fails
// at once.
type DeploymentWindow struct {
	// Now is the time of day. It is asked again at least once a minute, so that
	// a clock that was set, or a machine that slept, is noticed.
	Now func() time.Time
}

// look is how often the clock is asked while a window is closed.
const look = time.Minute

// Run waits until the window is open. It keeps nothing: run again after a
// restart, it waits for what is left.
func (r DeploymentWindow) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var window pipeline.DeploymentWindow
	if err := decode(job, &window); err != nil {
		return pipeline.Result{}, err
	}
	table, err := timetable.Parse(window.Cron, window.TimeZone)
	if err != nil {
		return pipeline.Fail("rule %s: the window %q cannot be read: %v", job.Action.Name, window.Cron, err), nil
	}
	told := false
	for {
		now := r.Now()
		if table.Holds(now) {
			return opened(table, now), nil
		}
		opens, ok := table.Next(now)
		if !ok {
			return pipeline.Fail("rule %s: the window %q never opens again", job.Action.Name, window.Cron), nil
		}
		if !told {
			fmt.Fprintf(job.Log, "waiting for the window %q, which opens %s\n", window.Cron, clock(opens))
			told = true
		}
		job.Progress("window opens " + clock(opens))
		if err := wait(ctx, min(opens.Sub(now), look)); err != nil {
			return pipeline.Result{}, fmt.Errorf("wait for the window, which opens %s: %w", clock(opens), err)
		}
	}
}

func opened(table timetable.Timetable, now time.Time) pipeline.Result {
	summary := "window open"
	if closes, ok := table.Closes(now); ok {
		summary += " until " + clock(closes)
	}
	return pipeline.Result{Outcome: pipeline.Succeeded, Summary: summary}
}

// wait waits, or returns why ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// clock is an instant as the people of the window's time zone write it.
func clock(at time.Time) string { return at.Format("Mon 2006-01-02 15:04 MST") }
