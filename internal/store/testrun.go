package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/towline/towline/internal/pipeline"
)

const (
	// keepReports is of how many runs of an action the reports are kept whole:
	// as many as a test is looked back at.
	keepReports = 50
	// keepTotals is of how many runs of an action the totals are kept.
	keepTotals = 1000
	// largestReports bounds what is read of one run, unpacked.
	largestReports = 256 << 20
)

// Record keeps what the reports of an action said, in place of what was
// recorded for the same attempt before. Of older runs only the totals are kept,
// and in the end nothing.
func (db *DB) Record(ctx context.Context, run pipeline.TestRun) error {
	totals, err := json.Marshal(run.Totals)
	if err != nil {
		return fmt.Errorf("encode totals of %s: %w", run.Execution, err)
	}
	reports, err := zipped(run.Reports)
	if err != nil {
		return fmt.Errorf("encode reports of %s: %w", run.Execution, err)
	}
	return db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO test_runs (execution, stage, attempt, action, pipeline, branch, revision, at, totals, reports)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (execution, stage, attempt, action) DO UPDATE SET
				branch = excluded.branch, revision = excluded.revision, at = excluded.at, totals = excluded.totals, reports = excluded.reports`,
			run.Execution, run.Stage, run.Attempt, run.Action, run.Pipeline, run.Branch, run.Commit, sortableTime(run.At), string(totals), reports)
		if err != nil {
			return fmt.Errorf("save tests of %s: %w", run.Execution, err)
		}
		const older = ` pipeline = $1 AND stage = $2 AND action = $3 AND at <
			(SELECT at FROM test_runs WHERE pipeline = $1 AND stage = $2 AND action = $3 ORDER BY at DESC LIMIT 1 OFFSET $4)`
		if _, err := q.Exec(ctx, `UPDATE test_runs SET reports = NULL WHERE reports IS NOT NULL AND`+older, run.Pipeline, run.Stage, run.Action, keepReports-1); err != nil {
			return fmt.Errorf("forget old reports of %s: %w", run.Pipeline, err)
		}
		if _, err := q.Exec(ctx, `DELETE FROM test_runs WHERE`+older, run.Pipeline, run.Stage, run.Action, keepTotals-1); err != nil {
			return fmt.Errorf("forget old tests of %s: %w", run.Pipeline, err)
		}
		return nil
	})
}

const testRun = `SELECT execution, stage, attempt, action, pipeline, branch, revision, at, totals, reports `

// TestRuns shows the newest runs of each action of a pipeline, at most limit of
// each: first all of the action that ran last, the oldest run first, then those
// of the next. One after the other, since together they may be large. It ends
// with the first error of see.
func (db *DB) TestRuns(ctx context.Context, name string, limit int, see func(pipeline.TestRun) error) error {
	return db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, testRun+`FROM (
			`+testRun+`, row_number() OVER (PARTITION BY stage, action ORDER BY at DESC, attempt DESC) AS age,
				max(at) OVER (PARTITION BY stage, action) AS newest FROM test_runs WHERE pipeline = $1
		) AS runs WHERE age <= $2 ORDER BY newest DESC, stage, action, age DESC`, name, limit)
		if err != nil {
			return fmt.Errorf("list tests of %s: %w", name, err)
		}
		_, err = scanAll(rows, func() (struct{}, error) {
			run, err := scanTestRun(rows)
			if err == nil {
				err = see(run)
			}
			return struct{}{}, err
		})
		return err
	})
}

// TestRunsOf lists what the reports of the actions of one execution said, in
// the order in which the actions ended.
func (db *DB) TestRunsOf(ctx context.Context, execution string) (found []pipeline.TestRun, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, testRun+`FROM test_runs WHERE execution = $1 ORDER BY at, stage, action, attempt`, execution)
		if err != nil {
			return fmt.Errorf("list tests of %s: %w", execution, err)
		}
		found, err = scanAll(rows, func() (pipeline.TestRun, error) { return scanTestRun(rows) })
		return err
	})
	return found, err
}

func scanTestRun(rows Rows) (r pipeline.TestRun, err error) {
	var at string
	var totals, reports []byte
	err = rows.Scan(&r.Execution, &r.Stage, &r.Attempt, &r.Action, &r.Pipeline, &r.Branch, &r.Commit, &at, &totals, &reports)
	if err != nil {
		return r, err
	}
	if r.At, err = parseSortable(at); err != nil {
		return r, err
	}
	if err := json.Unmarshal(totals, &r.Totals); err != nil {
		return r, err
	}
	r.Reports, err = unzipped(reports)
	return r, err
}

// zipped is the form in which reports are kept: names repeat in them, from test
// to test.
func zipped(reports []pipeline.Report) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(w).Encode(reports), w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unzipped(text []byte) ([]pipeline.Report, error) {
	if len(text) == 0 {
		return nil, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var reports []pipeline.Report
	err = errors.Join(json.NewDecoder(io.LimitReader(r, largestReports)).Decode(&reports), r.Close())
	return reports, err
}
