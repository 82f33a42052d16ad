package store

import (
	"context"
	"fmt"
	"time"
)

// SignIn is somebody who is signed in to the dashboard. What the credential
// allows is none of the store's business.
type SignIn struct {
	Token      []byte // SHA-256 of what the browser holds
	Name       string // as they call themselves
	Credential string
	Created    time.Time
	Expires    time.Time
}

// AddSignIn keeps a new one, and forgets those that are over.
func (db *DB) AddSignIn(ctx context.Context, s SignIn) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM sign_ins WHERE expires < $1`, sortableTime(s.Created)); err != nil {
			return fmt.Errorf("forget old sign-ins: %w", err)
		}
		_, err := q.Exec(ctx, `INSERT INTO sign_ins (token, name, credential, created, expires) VALUES ($1, $2, $3, $4, $5)`,
			s.Token, s.Name, s.Credential, sortableTime(s.Created), sortableTime(s.Expires))
		if err != nil {
			return fmt.Errorf("save sign-in of %s: %w", s.Name, err)
		}
		return nil
	})
}

// SignIn loads one, which may be over. The error is ErrNotFound when there is
// none.
func (db *DB) SignIn(ctx context.Context, token []byte) (s SignIn, err error) {
	err = db.View(ctx, func(q Querier) error {
		rows, err := q.Query(ctx, `SELECT token, name, credential, created, expires FROM sign_ins WHERE token = $1`, token)
		if err != nil {
			return fmt.Errorf("load sign-in: %w", err)
		}
		var created, expires string
		if err := scanOne(rows, &s.Token, &s.Name, &s.Credential, &created, &expires); err != nil {
			return fmt.Errorf("sign-in: %w", err)
		}
		if s.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return err
		}
		s.Expires, err = time.Parse(time.RFC3339, expires)
		return err
	})
	return s, err
}

// EndSignIn forgets one. One that is not there any more is no error.
func (db *DB) EndSignIn(ctx context.Context, token []byte) error {
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, `DELETE FROM sign_ins WHERE token = $1`, token); err != nil {
			return fmt.Errorf("end sign-in: %w", err)
		}
		return nil
	})
}
