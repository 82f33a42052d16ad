package store

import (
	"context"
	"fmt"
	"time"
)

// AttestKey is a key that attestations of images are signed with, its private
// half sealed.
type AttestKey struct {
	ID      string
	Public  []byte // PKIX, DER
	Sealed  []byte
	Created time.Time
}

// AddAttestKey keeps a new key, which is the newest then.
func (db *DB) AddAttestKey(ctx context.Context, k AttestKey) error {
	return db.Update(ctx, func(q Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO attest_keys (id, number, public, sealed, created)
			SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4 FROM attest_keys`,
			k.ID, k.Public, k.Sealed, k.Created.UTC().Format(time.RFC3339))
		if err != nil {
			return fmt.Errorf("save signing key %s: %w", k.ID, err)
		}
		return nil
	})
}

// AttestKeys lists all keys, the newest first.
func (db *DB) AttestKeys(ctx context.Context) (found []AttestKey, err error) {
	err = db.View(ctx, func(q Querier) error {
		found, err = getAttestKeys(ctx, q)
		return err
	})
	return found, err
}

func getAttestKeys(ctx context.Context, q Querier) ([]AttestKey, error) {
	rows, err := q.Query(ctx, `SELECT id, public, sealed, created FROM attest_keys ORDER BY number DESC`)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	return scanAll(rows, func() (k AttestKey, err error) {
		var created string
		if err := rows.Scan(&k.ID, &k.Public, &k.Sealed, &created); err != nil {
			return k, err
		}
		k.Created, err = time.Parse(time.RFC3339, created)
		return k, err
	})
}

// ResealAttestKeys replaces what is sealed of every key, of all or of none.
func (db *DB) ResealAttestKeys(ctx context.Context, reseal func(id string, sealed []byte) ([]byte, error)) error {
	return db.Update(ctx, func(q Querier) error {
		all, err := getAttestKeys(ctx, q)
		if err != nil {
			return err
		}
		for _, k := range all {
			sealed, err := reseal(k.ID, k.Sealed)
			if err != nil {
				return err
			}
			if _, err := q.Exec(ctx, `UPDATE attest_keys SET sealed = $2 WHERE id = $1`, k.ID, sealed); err != nil {
				return fmt.Errorf("save signing key %s: %w", k.ID, err)
			}
		}
		return nil
	})
}
