package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
	"github.com/towline/towline/internal/timetable"
)

const (
	// scheduleEvery is how often schedules are looked at.
	scheduleEvery = 10 * time.Second
	// scheduleGrace is how late an execution may begin because the server was
	// down at its time. What is later than that is left out: a night's builds
	// need not all run in the morning.
	scheduleGrace = 10 * time.Minute
)

// errScheduled ends the transaction of a time that has been acted on already.
var errScheduled = errors.New("this time has been acted on")

// schedule starts the executions whose time has come since they were last
// started, each once.
func (a *App) schedule(ctx context.Context, now time.Time) error {
	definitions, err := a.store.Pipelines(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range definitions {
		for _, s := range d.Pipeline.On.Schedule {
			if err := a.scheduleOne(ctx, d, s, now); err != nil && !errors.Is(err, errScheduled) {
				errs = append(errs, fmt.Errorf("pipeline %s, schedule %s: %w", d.Pipeline.Name, s.Cron, err))
			}
		}
	}
	return errors.Join(errs...)
}

// scheduleOne starts an execution of the newest revision of what the pipeline
// begins with, when a time of the schedule has passed within the grace.
func (a *App) scheduleOne(ctx context.Context, d store.Definition, s pipeline.Schedule, now time.Time) error {
	table, err := timetable.ParseSchedule(s.Cron, s.TimeZone)
	if err != nil {
		return err
	}
	// A schedule does not reach back before the definition that has it.
	from := now.Add(-scheduleGrace)
	if d.Updated.After(from) {
		from = d.Updated
	}
	due, ok := table.Next(from)
	if !ok || due.After(now) {
		return nil
	}
	for next, ok := table.Next(due); ok && !next.After(now); next, ok = table.Next(due) {
		due = next // Of several that have passed the last one counts.
	}
	_, err = a.run(ctx, engine.StartRequest{
		Pipeline: d.Pipeline.Name,
		Trigger:  pipeline.Trigger{Type: pipeline.TriggerSchedule, Detail: s.Cron},
		Also: func(ctx context.Context, q store.Querier) error {
			key := s.Cron + " " + s.TimeZone
			last, err := store.GetScheduled(ctx, q, d.Pipeline.Name, key)
			if err != nil {
				return err
			}
			if !last.Before(due.Truncate(time.Second)) {
				return errScheduled
			}
			return store.SetScheduled(ctx, q, d.Pipeline.Name, key, due)
		},
	}, "")
	return err
}
