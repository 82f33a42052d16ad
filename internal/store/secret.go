package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// keptVersions is how many versions of a secret are kept, the newest ones.
const keptVersions = 10

// Secret is a secret without its value.
type Secret struct {
	Name string
	// Users are patterns of who may use it.
	Users   []string
	Version int // the newest, from 1
	Created time.Time
	Updated time.Time // when the newest version was given
}

// SecretVersion is one value of a secret as it is kept: sealed.
type SecretVersion struct {
	Name    string
	Version int
	Sealed  []byte
	Created time.Time
}

// SecretChange is what is to become of a secret.
type SecretChange struct {
	Name string
	// Users replaces who may use it. Nil leaves that as it is; of a new secret,
	// everybody.
	Users []string
	// Seal returns the value of the version that it is told, sealed. It is
	// called within the transaction, so it must be quick. Nil leaves the value
	// as it is, which there must be then.
	Seal func(version int) ([]byte, error)
	Now  time.Time
}

// ChangeSecret makes a secret or a new version of it. The error is ErrNotFound
// when there is none and no value is given.
func (db *DB) ChangeSecret(ctx context.Context, change SecretChange) (changed Secret, err error) {
	err = db.Update(ctx, func(q Querier) error {
		now := change.Now.UTC().Format(time.RFC3339)
		if change.Seal != nil {
			if _, err := q.Exec(ctx, `INSERT INTO secrets (name, users, created) VALUES ($1, '["*"]', $2) ON CONFLICT (name) DO NOTHING`, change.Name, now); err != nil {
				return fmt.Errorf("save secret %s: %w", change.Name, err)
			}
		}
		if err := setUsers(ctx, q, change); err != nil {
			return err
		}
		found, err := getSecrets(ctx, q, `WHERE s.name = $1`, change.Name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("secret %s: %w", change.Name, ErrNotFound)
		}
		changed = found[0]
		if change.Seal == nil {
			return nil
		}
		changed.Version, changed.Updated = changed.Version+1, change.Now.UTC().Truncate(time.Second)
		return addVersion(ctx, q, change, changed.Version)
	})
	return changed, err
}

func setUsers(ctx context.Context, q Querier, change SecretChange) error {
	if change.Users == nil {
		return nil
	}
	users, err := json.Marshal(change.Users)
	if err != nil {
		return fmt.Errorf("save secret %s: %w", change.Name, err)
	}
	if _, err := q.Exec(ctx, `UPDATE secrets SET users = $2 WHERE name = $1`, change.Name, string(users)); err != nil {
		return fmt.Errorf("save secret %s: %w", change.Name, err)
	}
	return nil
}

func addVersion(ctx context.Context, q Querier, change SecretChange, version int) error {
	sealed, err := change.Seal(version)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO secret_versions (name, version, sealed, created) VALUES ($1, $2, $3, $4)`,
		change.Name, version, sealed, change.Now.UTC().Format(time.RFC3339))
	if err == nil {
		_, err = q.Exec(ctx, `DELETE FROM secret_versions WHERE name = $1 AND version <= $2`, change.Name, version-keptVersions)
	}
	if err != nil {
		return fmt.Errorf("save secret %s: %w", change.Name, err)
	}
	return nil
}

// Secrets lists all secrets by name.
func (db *DB) Secrets(ctx context.Context) (found []Secret, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getSecrets(ctx, q, ``)
		return err
	})
	return found, err
}

// getSecrets shows a secret that has no version yet with the version 0.
func getSecrets(ctx context.Context, q Querier, where string, args ...any) ([]Secret, error) {
	rows, err := q.Query(ctx, `SELECT s.name, s.users, s.created, COALESCE(MAX(v.version), 0), COALESCE(MAX(v.created), s.created)
		FROM secrets s LEFT JOIN secret_versions v ON v.name = s.name `+where+` GROUP BY s.name, s.users, s.created ORDER BY s.name`, args...)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	return scanAll(rows, func() (s Secret, err error) {
		var users, created, updated string
		if err := rows.Scan(&s.Name, &users, &created, &s.Version, &updated); err != nil {
			return s, err
		}
		if err := json.Unmarshal([]byte(users), &s.Users); err != nil {
			return s, err
		}
		if s.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return s, err
		}
		s.Updated, err = time.Parse(time.RFC3339, updated)
		return s, err
	})
}

// SecretVersions loads a secret with the versions that are kept of it, newest
// first. The error is ErrNotFound when there is no such secret.
func (db *DB) SecretVersions(ctx context.Context, name string) (s Secret, versions []SecretVersion, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err := getSecrets(ctx, q, `WHERE s.name = $1`, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("secret %s: %w", name, ErrNotFound)
		}
		s = found[0]
		versions, err = getSecretVersions(ctx, q, `WHERE name = $1 ORDER BY version DESC`, name)
		return err
	})
	return s, versions, err
}

func getSecretVersions(ctx context.Context, q Querier, where string, args ...any) ([]SecretVersion, error) {
	rows, err := q.Query(ctx, `SELECT name, version, sealed, created FROM secret_versions `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list versions of secrets: %w", err)
	}
	return scanAll(rows, func() (v SecretVersion, err error) {
		var created string
		if err := rows.Scan(&v.Name, &v.Version, &v.Sealed, &created); err != nil {
			return v, err
		}
		v.Created, err = time.Parse(time.RFC3339, created)
		return v, err
	})
}

// RemoveSecret forgets a secret with all of its versions. The error is
// ErrNotFound when there is none.
func (db *DB) RemoveSecret(ctx context.Context, name string) error {
	return db.Update(ctx, func(q Querier) error {
		rows, err := q.Exec(ctx, `DELETE FROM secrets WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove secret %s: %w", name, err)
		}
		if rows == 0 {
			return fmt.Errorf("secret %s: %w", name, ErrNotFound)
		}
		return nil
	})
}

// ResealSecrets replaces what is sealed of every version of every secret, of
// all or of none. It holds the database's only writer meanwhile.
func (db *DB) ResealSecrets(ctx context.Context, reseal func(SecretVersion) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		all, err := getSecretVersions(ctx, q, `ORDER BY name, version`)
		if err != nil {
			return err
		}
		for _, v := range all {
			sealed, err := reseal(v)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE secret_versions SET sealed = $3 WHERE name = $1 AND version = $2`, v.Name, v.Version, sealed); err != nil {
				return fmt.Errorf("save secret %s: %w", v.Name, err)
			}
		}
		return nil
	})
}
