package client

import (
	"context"
	"net/http"
	"time"
)

// AttestKey is a public key that attestations of images are checked with.
type AttestKey struct {
	ID      string    `json:"id" doc:"SHA-256 of the key, in hex"`
	PEM     string    `json:"pem" doc:"the public key, as cosign and openssl read it"`
	Created time.Time `json:"created"`
}

// AttestKeys lists the keys, the one that signs now first.
func (c *Client) AttestKeys(ctx context.Context) (found []AttestKey, err error) {
	return found, c.call(ctx, http.MethodGet, "/attest-keys", nil, &found)
}

// RotateAttestKey makes a new key, which signs from then on.
func (c *Client) RotateAttestKey(ctx context.Context) (made AttestKey, err error) {
	return made, c.call(ctx, http.MethodPost, "/attest-keys", nil, &made)
}

// Token is what the client signs in with: the password of the server's git and
// registry as well.
func (c *Client) Token() string { return c.token }
