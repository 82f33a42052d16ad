package store

import (
	"context"
	"fmt"
)

// Build is a build of a project, or a batch of builds, as it is kept. What its
// record says is none of the store's business.
type Build struct {
	Sequence int64  // the order in which builds were asked for
	ID       string // project:UUID
	Project  string
	Number   int    // within its project, from 1: builds and batches by themselves
	Batch    bool   // it is a batch
	PartOf   string // id of the batch that it belongs to, "" for none
	Status   string // a word of the caller's
	Ended    bool   // nothing of it runs or waits any more
	Tested   bool   // it has test reports
	Record   []byte
}

// BuildKind tells builds from batches of builds.
type BuildKind string

// The kinds of builds.
const (
	Alone   BuildKind = "alone" // builds, also those of batches
	Batches BuildKind = "batches"
)

// BuildFilter chooses builds, and where the list begins.
type BuildFilter struct {
	Project   string    // "" for those of all projects
	Kind      BuildKind // "" for both
	PartOf    string    // a batch, "" for those of all and of none
	Status    string    // "" for all
	Tested    bool      // those with test reports alone
	Ascending bool      // the first one first, else the last one
	After     int64     // the sequence behind which the list begins, 0 for its beginning
	Limit     int
}

// NextBuild takes the number of a project's next build, or batch. The error is
// ErrNotFound when there is no such project.
func NextBuild(ctx context.Context, q Querier, project string, batch bool) (number int, err error) {
	query := `UPDATE projects SET builds = builds + 1 WHERE name = $1 RETURNING builds`
	if batch {
		query = `UPDATE projects SET batches = batches + 1 WHERE name = $1 RETURNING batches`
	}
	rows, err := q.Query(ctx, query, project)
	if err != nil {
		return 0, fmt.Errorf("number a build of project %s: %w", project, err)
	}
	if err := scanOne(rows, &number); err != nil {
		return 0, fmt.Errorf("project %s: %w", project, err)
	}
	return number, nil
}

// AddBuild keeps a new build. The error is ErrExists when its id is taken.
func AddBuild(ctx context.Context, q Querier, b Build) (sequence int64, err error) {
	rows, err := q.Query(ctx, `INSERT INTO builds (id, project, number, batch, part_of, status, ended, tested, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO NOTHING RETURNING sequence`, b.ID, b.Project, b.Number, b.Batch, b.PartOf, b.Status, b.Ended, b.Tested, string(b.Record))
	if err != nil {
		return 0, fmt.Errorf("save build %s: %w", b.ID, err)
	}
	found, err := scanAll(rows, func() (n int64, err error) { return n, rows.Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("save build %s: %w", b.ID, err)
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("build %s: %w", b.ID, ErrExists)
	}
	return found[0], nil
}

// SetBuild keeps what has become of a build within a transaction of the
// caller's. The error is ErrNotFound when there is none of that id.
func SetBuild(ctx context.Context, q Querier, b Build) error {
	rows, err := q.Exec(ctx, `UPDATE builds SET status = $2, ended = $3, tested = $4, record = $5 WHERE id = $1`, b.ID, b.Status, b.Ended, b.Tested, string(b.Record))
	if err != nil {
		return fmt.Errorf("save build %s: %w", b.ID, err)
	}
	if rows == 0 {
		return fmt.Errorf("build %s: %w", b.ID, ErrNotFound)
	}
	return nil
}

// RemoveBuild forgets a build and its reports within a transaction of the
// caller's, who has seen to it that nothing of the build runs. The error is
// ErrNotFound when there is none of that id.
func RemoveBuild(ctx context.Context, q Querier, id string) error {
	rows, err := q.Exec(ctx, `DELETE FROM builds WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("remove build %s: %w", id, err)
	}
	if rows == 0 {
		return fmt.Errorf("build %s: %w", id, ErrNotFound)
	}
	if _, err := q.Exec(ctx, `DELETE FROM reports WHERE build = $1`, id); err != nil {
		return fmt.Errorf("remove the reports of build %s: %w", id, err)
	}
	return nil
}

// Build loads one build. The error is ErrNotFound when there is none of that
// id.
func (db *DB) Build(ctx context.Context, id string) (b Build, err error) {
	err = db.View(ctx, func(q Querier) error {
		b, err = GetBuild(ctx, q, id)
		return err
	})
	return b, err
}

// GetBuild loads one build within a transaction of the caller's.
func GetBuild(ctx context.Context, q Querier, id string) (Build, error) {
	found, err := getBuilds(ctx, q, `WHERE id = $1`, id)
	if err != nil {
		return Build{}, err
	}
	if len(found) == 0 {
		return Build{}, fmt.Errorf("build %s: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// Unended lists the builds that wait or run, in the order in which they were
// asked for.
func (db *DB) Unended(ctx context.Context) (found []Build, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getBuilds(ctx, q, `WHERE ended = 0 ORDER BY sequence`)
		return err
	})
	return found, err
}

// Builds lists builds, those that were asked for last first.
func (db *DB) Builds(ctx context.Context, f BuildFilter) (found []Build, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = GetBuilds(ctx, q, f)
		return err
	})
	return found, err
}

// GetBuilds is Builds within a transaction of the caller's.
func GetBuilds(ctx context.Context, q Querier, f BuildFilter) ([]Build, error) {
	c := clause{}
	c.is("project", f.Project)
	c.is("part_of", f.PartOf)
	c.is("status", f.Status)
	switch f.Kind {
	case Alone:
		c.where = append(c.where, `batch = 0`)
	case Batches:
		c.where = append(c.where, `batch = 1`)
	}
	if f.Tested {
		c.where = append(c.where, `tested = 1`)
	}
	query, args := c.page(f.Ascending, f.After, f.Limit)
	return getBuilds(ctx, q, query, args...)
}

func getBuilds(ctx context.Context, q Querier, where string, args ...any) ([]Build, error) {
	rows, err := q.Query(ctx, `SELECT sequence, id, project, number, batch, part_of, status, ended, tested, record FROM builds `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list builds: %w", err)
	}
	return scanAll(rows, func() (b Build, err error) {
		return b, rows.Scan(&b.Sequence, &b.ID, &b.Project, &b.Number, &b.Batch, &b.PartOf, &b.Status, &b.Ended, &b.Tested, &b.Record)
	})
}
