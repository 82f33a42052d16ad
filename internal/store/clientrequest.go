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
	Answer    string
	At        time.Time
}

// KeepRequest keeps a request and its answer, unless its token is known: then
// it keeps nothing and returns what is known of it. It runs in the caller's
// transaction, in which the request is carried out: it is kept if and only if
// that was done.
func KeepRequest(ctx context.Context, q Querier, r ClientRequest) (known ClientRequest, ok bool, err error) {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	if _, err := q.Exec(ctx, `DELETE FROM client_requests WHERE at < $1`, text(r.At.Add(-clientRequestsKept))); err != nil {
		return known, false, fmt.Errorf("forget old requests: %w", err)
	}
	rows, err := q.Exec(ctx, `INSERT INTO client_requests (operation, token, digest, answer, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (operation, token) DO NOTHING`, r.Operation, r.Token, r.Digest, r.Answer, text(r.At))
	if err != nil {
		return known, false, fmt.Errorf("save request: %w", err)
	}
	if rows > 0 {
		return known, false, nil
	}
	found, err := q.Query(ctx, `SELECT digest, answer, at FROM client_requests WHERE operation = $1 AND token = $2`, r.Operation, r.Token)
	if err != nil {
		return known, false, fmt.Errorf("load request: %w", err)
	}
	var at string
	known.Operation, known.Token = r.Operation, r.Token
	if err := scanOne(found, &known.Digest, &known.Answer, &at); err != nil {
		return known, false, fmt.Errorf("load request: %w", err)
	}
	known.At, err = time.Parse(time.RFC3339, at)
	return known, true, err
}
