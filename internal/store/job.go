package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// JobStatus is how far a job is with the programs that work on jobs.
type JobStatus string

// The statuses of jobs, in CodePipeline's words.
const (
	JobQueued     JobStatus = "Queued"     // to be given out, again
	JobDispatched JobStatus = "Dispatched" // given out, and not yet taken
	JobInProgress JobStatus = "InProgress"
	JobSucceeded  JobStatus = "Succeeded"
	JobFailed     JobStatus = "Failed"
)

// How long jobs are remembered: those that are over, and any.
const (
	jobsOver = 24 * time.Hour
	jobsKept = 90 * 24 * time.Hour // longer than any action may take
)

// Job is what a program outside of Towline has been told of an action that
// waits for it. That the action waits is in the execution.
type Job struct {
	ID           string
	Execution    string
	Stage        string
	Attempt      int
	Action       string
	Status       JobStatus
	Nonce        string // of the last dispatch
	Continuation string // what the program left for the next one, "" for nothing
	At           time.Time
	// Function is the one that works on it, "" for a worker that asks for jobs,
	// and Report what that function has said of it.
	Function string
	Report   JobReport
}

// DispatchJob gives a job out with its nonce, if it is new, is queued, or was
// given out before again and never taken. It returns the job as it is then.
func (db *DB) DispatchJob(ctx context.Context, job Job, again time.Time) (given Job, ok bool, err error) {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	err = db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM jobs WHERE at < $1 AND (status IN ('Succeeded', 'Failed') OR at < $2)`,
			text(job.At.Add(-jobsOver)), text(job.At.Add(-jobsKept))); err != nil {
			return fmt.Errorf("forget old jobs: %w", err)
		}
		rows, err := q.Exec(ctx, `INSERT INTO jobs (id, execution, stage, attempt, action, status, nonce, at) VALUES ($1, $2, $3, $4, $5, 'Dispatched', $6, $7)
			ON CONFLICT (id) DO UPDATE SET status = 'Dispatched', nonce = excluded.nonce, at = excluded.at
			WHERE status = 'Queued' OR status = 'Dispatched' AND at < $8`,
			job.ID, job.Execution, job.Stage, job.Attempt, job.Action, job.Nonce, text(job.At), text(again))
		if err != nil {
			return fmt.Errorf("save job %s: %w", job.ID, err)
		}
		if ok = rows > 0; !ok {
			return nil
		}
		given, err = getJob(ctx, q, job.ID)
		return err
	})
	return given, ok, err
}

// Job loads one job. The error is ErrNotFound when there is none.
func (db *DB) Job(ctx context.Context, id string) (job Job, err error) {
	err = db.View(ctx, func(q Querier) error {
		job, err = getJob(ctx, q, id)
		return err
	})
	return job, err
}

func getJob(ctx context.Context, q Querier, id string) (job Job, err error) {
	rows, err := q.Query(ctx, `SELECT id, execution, stage, attempt, action, status, nonce, continuation, at, function, report FROM jobs WHERE id = $1`, id)
	if err != nil {
		return job, fmt.Errorf("load job %s: %w", id, err)
	}
	var at, report string
	if err := scanOne(rows, &job.ID, &job.Execution, &job.Stage, &job.Attempt, &job.Action, &job.Status, &job.Nonce, &job.Continuation, &at, &job.Function, &report); err != nil {
		return job, fmt.Errorf("job %s: %w", id, err)
	}
	if report != "" {
		if err := json.Unmarshal([]byte(report), &job.Report); err != nil {
			return job, fmt.Errorf("job %s: %w", id, err)
		}
	}
	job.At, err = time.Parse(time.RFC3339, at)
	return job, err
}

// ChangeJob gives a job another status and continuation, if it has still the
// status and the nonce of job. It is not ok when it has not.
func (db *DB) ChangeJob(ctx context.Context, job Job, to JobStatus, continuation string, at time.Time) (ok bool, err error) {
	err = db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `UPDATE jobs SET status = $4, continuation = $5, at = $6 WHERE id = $1 AND status = $2 AND nonce = $3`,
			job.ID, string(job.Status), job.Nonce, string(to), continuation, at.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save job %s: %w", job.ID, err)
		}
		ok = rows > 0
		return nil
	})
	return ok, err
}
