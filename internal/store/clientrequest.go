package store

import (
	"context"
	"fmt"
	"time"
)

// clientRequestsKept is how long the answer to a client's token is known.
const clientRequestsKept = 24 * time.Hour

// ClientRequest is a request that carries its client's own token, by which it
// is known when it is sent again.
type ClientRequest struct {
	Operation string
	Token     string
	Digest    string // of what was asked
	Answer    string // "" until there is one
	At        time.Time
}

// ClaimRequest keeps a request without its answer, unless its token is known:
// then it returns what is known of it. A claim from before takeover that was
// never answered is given to the new request, if it asks for the same.
func (db *DB) ClaimRequest(ctx context.Context, r ClientRequest, takeover time.Time) (known ClientRequest, ok bool, err error) {
	err = db.Update(ctx, func(q Querier) error {
		text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
		if _, err := q.Exec(ctx, `DELETE FROM client_requests WHERE at < $1`, text(r.At.Add(-clientRequestsKept))); err != nil {
			return fmt.Errorf("forget old requests: %w", err)
		}
		rows, err := q.Exec(ctx, `INSERT INTO client_requests (operation, token, digest, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (operation, token) DO UPDATE SET at = excluded.at WHERE answer = '' AND digest = excluded.digest AND at < $5`,
			r.Operation, r.Token, r.Digest, text(r.At), text(takeover))
		if err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		if ok = rows == 0; !ok {
			return nil
		}
		known, err = getClientRequest(ctx, q, r.Operation, r.Token)
		return err
	})
	return known, ok, err
}

func getClientRequest(ctx context.Context, q Querier, operation, token string) (ClientRequest, error) {
	rows, err := q.Query(ctx, `SELECT digest, answer, at FROM client_requests WHERE operation = $1 AND token = $2`, operation, token)
	if err != nil {
		return ClientRequest{}, fmt.Errorf("load request: %w", err)
	}
	found, err := scanAll(rows, func() (r ClientRequest, err error) {
		var at string
		if err := rows.Scan(&r.Digest, &r.Answer, &at); err != nil {
			return r, err
		}
		r.Operation, r.Token = operation, token
		r.At, err = time.Parse(time.RFC3339, at)
		return r, err
	})
	if err != nil || len(found) == 0 {
		return ClientRequest{}, err
	}
	return found[0], nil
}

// AnswerRequest keeps the answer to a request. An answer of "" takes the claim
// back, so that the request may be tried again.
func (db *DB) AnswerRequest(ctx context.Context, operation, token, answer string) error {
	query := `UPDATE client_requests SET answer = $3 WHERE operation = $1 AND token = $2`
	if answer == "" {
		query = `DELETE FROM client_requests WHERE operation = $1 AND token = $2 AND answer = $3`
	}
	return db.Update(ctx, func(q Querier) error {
		if _, err := q.Exec(ctx, query, operation, token, answer); err != nil {
			return fmt.Errorf("save answer: %w", err)
		}
		return nil
	})
}
