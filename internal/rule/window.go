package rule

import (
	"context"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/timetable"
)

// DeploymentWindow is the rule DeploymentWindow: it succeeds while the window
// is open. As CodePipeline does, it waits for a window that is closed, until
// the timeout of the rule if it has one: it asks to be run again when the window
// opens. A window that never opens again fails at once.
type DeploymentWindow struct {
	// Now is the time of day.
	Now func() time.Time
}

// Run looks whether the window is open. It keeps nothing.
func (r DeploymentWindow) Run(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
	var window pipeline.DeploymentWindow
	if err := decode(job, &window); err != nil {
		return pipeline.Result{}, err
	}
	table, err := timetable.Parse(window.Cron, window.TimeZone)
	if err != nil {
		return pipeline.Fail("rule %s: the window %q cannot be read: %v", job.Action.Name, window.Cron, err), nil
	}
	now := r.Now()
	if table.Holds(now) {
		return opened(table, now), nil
	}
	opens, ok := table.Next(now)
	if !ok {
		return pipeline.Fail("rule %s: the window %q never opens again", job.Action.Name, window.Cron), nil
	}
	return pipeline.Wait(opens, "the window %q, which opens %s", window.Cron, clock(opens)), nil
}

func opened(table timetable.Timetable, now time.Time) pipeline.Result {
	summary := "window open"
	if closes, ok := table.Closes(now); ok {
		summary += " until " + clock(closes)
	}
	return pipeline.Result{Outcome: pipeline.Succeeded, Summary: summary}
}

// clock is an instant as the people of the window's time zone write it.
func clock(at time.Time) string { return at.Format("Mon 2006-01-02 15:04 MST") }
