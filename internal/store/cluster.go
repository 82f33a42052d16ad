package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrExists is returned for a cluster whose name is taken.
var ErrExists = errors.New("exists already")

// Cluster is a cluster with its credential as it is kept: sealed. What is
// inside is none of the store's business.
type Cluster struct {
	Name    string
	Sealed  []byte
	Created time.Time
	Updated time.Time // when the credential was last given
}

// AddCluster keeps a new cluster. The error is ErrExists when the name is
// taken, unless it is to be replaced.
func (db *DB) AddCluster(ctx context.Context, c Cluster, replace bool) error {
	query := `INSERT INTO clusters (name, sealed, created, updated) VALUES ($1, $2, $3, $3) ON CONFLICT (name) DO `
	if replace {
		query += `UPDATE SET sealed = excluded.sealed, updated = excluded.updated`
	} else {
		query += `NOTHING`
	}
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, query, c.Name, c.Sealed, c.Created.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save cluster %s: %w", c.Name, err)
		}
		if rows == 0 {
			return fmt.Errorf("cluster %s: %w", c.Name, ErrExists)
		}
		return nil
	})
}

// Cluster loads one cluster. The error is ErrNotFound when there is none.
func (db *DB) Cluster(ctx context.Context, name string) (Cluster, error) {
	found, err := db.clusters(ctx, `WHERE name = $1`, name)
	if err != nil {
		return Cluster{}, err
	}
	if len(found) == 0 {
		return Cluster{}, fmt.Errorf("cluster %s: %w", name, ErrNotFound)
	}
	return found[0], nil
}

// Clusters lists all clusters by name.
func (db *DB) Clusters(ctx context.Context) ([]Cluster, error) { return db.clusters(ctx, ``) }

func (db *DB) clusters(ctx context.Context, where string, args ...any) (found []Cluster, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getClusters(ctx, q, where, args...)
		return err
	})
	return found, err
}

func getClusters(ctx context.Context, q Querier, where string, args ...any) ([]Cluster, error) {
	rows, err := q.Query(ctx, `SELECT name, sealed, created, updated FROM clusters `+where+` ORDER BY name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	return scanAll(rows, func() (c Cluster, err error) {
		var created, updated string
		if err := rows.Scan(&c.Name, &c.Sealed, &created, &updated); err != nil {
			return c, err
		}
		if c.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return c, err
		}
		c.Updated, err = time.Parse(time.RFC3339, updated)
		return c, err
	})
}

// RemoveCluster forgets a cluster. The error is ErrNotFound when there is none.
func (db *DB) RemoveCluster(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM clusters WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove cluster %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("cluster %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealClusters replaces what is sealed of every cluster by what reseal makes
// of it, of all or of none, and returns how many there are. It holds the
// database's only writer meanwhile, so reseal must be quick.
func (db *DB) ResealClusters(ctx context.Context, reseal func(name string, sealed []byte) ([]byte, error)) (count int, err error) {
	err = db.Update(ctx, func(q Querier) error {
		found, err := getClusters(ctx, q, ``)
		if err != nil {
			return err
		}
		for _, c := range found {
			sealed, err := reseal(c.Name, c.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE clusters SET sealed = $2 WHERE name = $1`, c.Name, sealed); err != nil {
				return fmt.Errorf("save cluster %s: %w", c.Name, err)
			}
		}
		count = len(found)
		return nil
	})
	return count, err
}
