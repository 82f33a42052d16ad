package store

import (
	"context"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// keepFiled is how many reports of a group are kept.
const keepFiled = 1000

// ReportGroup is a group of reports as it is kept. What its definition says is
// none of the store's business.
type ReportGroup struct {
	Name       string
	Kind       string
	Definition []byte // JSON
	Created    time.Time
	Updated    time.Time
}

// FiledReport is a report in a group, in short.
type FiledReport struct {
	Sequence int64  // the order in which reports were filed
	ID       string // group:UUID
	Group    string // which may be gone
	Build    string // id of the build that wrote it
	Status   string
	Record   []byte // JSON
}

// ReportFilter chooses reports, and where the list begins.
type ReportFilter struct {
	Group     string // "" for those of all groups
	Build     string // "" for those of all builds
	Status    string // "" for all
	Ascending bool   // the first one first, else the last one
	After     int64  // the sequence behind which the list begins, 0 for its beginning
	Limit     int
}

// AddReportGroup keeps a new group. The error is ErrExists when the name is
// taken.
func AddReportGroup(ctx context.Context, q Querier, g ReportGroup) error {
	rows, err := q.Exec(ctx, `INSERT INTO report_groups (name, kind, definition, created, updated) VALUES ($1, $2, $3, $4, $4) ON CONFLICT (name) DO NOTHING`,
		g.Name, g.Kind, string(g.Definition), g.Created.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save report group %s: %w", g.Name, err)
	}
	if rows == 0 {
		return fmt.Errorf("report group %s: %w", g.Name, ErrExists)
	}
	return nil
}

// SetReportGroup gives a group another definition. The error is ErrNotFound when
// there is none of that name.
func SetReportGroup(ctx context.Context, q Querier, g ReportGroup) error {
	rows, err := q.Exec(ctx, `UPDATE report_groups SET definition = $2, updated = $3 WHERE name = $1`, g.Name, string(g.Definition), g.Updated.UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("save report group %s: %w", g.Name, err)
	}
	if rows == 0 {
		return fmt.Errorf("report group %s: %w", g.Name, ErrNotFound)
	}
	return nil
}

// RemoveReportGroup forgets a group and its reports. The error is ErrNotFound
// when there is none of that name.
func RemoveReportGroup(ctx context.Context, q Querier, name string) error {
	if _, err := q.Exec(ctx, `DELETE FROM reports WHERE family = $1`, name); err != nil {
		return fmt.Errorf("remove the reports of group %s: %w", name, err)
	}
	rows, err := q.Exec(ctx, `DELETE FROM report_groups WHERE name = $1`, name)
	if err != nil {
		return fmt.Errorf("remove report group %s: %w", name, err)
	}
	if rows == 0 {
		return fmt.Errorf("report group %s: %w", name, ErrNotFound)
	}
	return nil
}

// GetReportGroup loads one group within a transaction of the caller's. The error
// is ErrNotFound when there is none of that name.
func GetReportGroup(ctx context.Context, q Querier, name string) (ReportGroup, error) {
	found, err := getReportGroups(ctx, q, `WHERE name = $1`, name)
	if err != nil {
		return ReportGroup{}, err
	}
	if len(found) == 0 {
		return ReportGroup{}, fmt.Errorf("report group %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// ReportGroups lists all groups by name.
func (db *DB) ReportGroups(ctx context.Context) (found []ReportGroup, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getReportGroups(ctx, q, ``)
		return err
	})
	return found, err
}

func getReportGroups(ctx context.Context, q Querier, where string, args ...any) ([]ReportGroup, error) {
	rows, err := q.Query(ctx, `SELECT name, kind, definition, created, updated FROM report_groups `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list report groups: %w", err)
	}
	return scanAll(rows, func() (g ReportGroup, err error) {
		var created, updated string
		if err := rows.Scan(&g.Name, &g.Kind, &g.Definition, &created, &updated); err != nil {
			return g, err
		}
		if g.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return g, err
		}
		g.Updated, err = time.Parse(time.RFC3339, updated)
		return g, err
	})
}

// FileReport keeps a report, in place of an earlier one with its id. Of the
// group's older ones it forgets those of which there are too many.
func FileReport(ctx context.Context, q Querier, r FiledReport) error {
	_, err := q.Exec(ctx, `INSERT INTO reports (id, family, build, status, record) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, record = excluded.record`, r.ID, r.Group, r.Build, r.Status, string(r.Record))
	if err != nil {
		return fmt.Errorf("save report %s: %w", r.ID, err)
	}
	_, err = q.Exec(ctx, `DELETE FROM reports WHERE family = $1 AND sequence <=
		(SELECT sequence FROM reports WHERE family = $1 ORDER BY sequence DESC LIMIT 1 OFFSET $2)`, r.Group, keepFiled)
	if err != nil {
		return fmt.Errorf("forget old reports of group %s: %w", r.Group, err)
	}
	return nil
}

// RemoveReport forgets a report. The error is ErrNotFound when there is none of
// that id.
func (db *DB) RemoveReport(ctx context.Context, id string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM reports WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("remove report %s: %w", id, err)
		}
		if rows == 0 {
			return fmt.Errorf("report %s: %w", id, ErrNotFound)
		}
		return nil
	})
}

// FiledReport loads one report. The error is ErrNotFound when there is none of
// that id.
func (db *DB) FiledReport(ctx context.Context, id string) (r FiledReport, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err := getReports(ctx, q, `WHERE id = $1`, id)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("report %s: %w", id, ErrNotFound)
		}
		if err == nil {
			r = found[0]
		}
		return err
	})
	return r, err
}

// FiledReports lists reports, those that were filed last first.
func (db *DB) FiledReports(ctx context.Context, f ReportFilter) (found []FiledReport, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = GetFiledReports(ctx, q, f)
		return err
	})
	return found, err
}

// GetFiledReports lists reports within a transaction of the caller's.
func GetFiledReports(ctx context.Context, q Querier, f ReportFilter) ([]FiledReport, error) {
	c := clause{}
	c.is("family", f.Group)
	c.is("build", f.Build)
	c.is("status", f.Status)
	query, args := c.page(f.Ascending, f.After, f.Limit)
	return getReports(ctx, q, query, args...)
}

func getReports(ctx context.Context, q Querier, where string, args ...any) ([]FiledReport, error) {
	rows, err := q.Query(ctx, `SELECT sequence, id, family, build, status, record FROM reports `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return scanAll(rows, func() (r FiledReport, err error) {
		return r, rows.Scan(&r.Sequence, &r.ID, &r.Group, &r.Build, &r.Status, &r.Record)
	})
}

// TestRun loads what the reports of one attempt of an action said. The error is
// ErrNotFound when nothing is kept of it.
func (db *DB) TestRun(ctx context.Context, of pipeline.TestRun) (run pipeline.TestRun, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, testRun+`FROM test_runs WHERE execution = $1 AND stage = $2 AND attempt = $3 AND action = $4`, of.Execution, of.Stage, of.Attempt, of.Action)
		if err != nil {
			return fmt.Errorf("load tests of %s: %w", of.Execution, err)
		}
		found, err := scanAll(rows, func() (pipeline.TestRun, error) { return scanTestRun(rows) })
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("tests of %s: %w", of.Execution, ErrNotFound)
		}
		if err == nil {
			run = found[0]
		}
		return err
	})
	return run, err
}
