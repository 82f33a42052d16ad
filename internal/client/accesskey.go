package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Role says what one may do: each role may do what those before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // read
	Operator Role = "operator" // start, stop, approve, retry
	Admin    Role = "admin"    // change definitions and keys
)

// Allows reports whether the role may do what needs the other one. A role that
// is not known may do nothing.
func (r Role) Allows(needed Role) bool {
	return r.rank() > 0 && needed.rank() > 0 && r.rank() >= needed.rank()
}

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// AccessKey is a key with which AWS's clients sign, without its secret.
type AccessKey struct {
	ID      string     `json:"id" doc:"what is AWS_ACCESS_KEY_ID to the client"`
	Role    Role       `json:"role" enum:"viewer,operator,admin"`
	Note    string     `json:"note,omitempty" doc:"what it is for"`
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"used,omitempty" doc:"the hour of its last use"`
}

// NewAccessKey is an access key that has just been made. Its secret is shown
// this once.
type NewAccessKey struct {
	AccessKey
	Secret string `json:"secret" doc:"what is AWS_SECRET_ACCESS_KEY to the client"`
}

// AccessKeyRequest asks for an access key.
type AccessKeyRequest struct {
	Role Role   `json:"role,omitempty" enum:"viewer,operator,admin" doc:"default viewer"`
	Note string `json:"note,omitempty" maxLength:"200" doc:"what it is for"`
}

// AccessKeys lists the access keys, oldest first.
func (c *Client) AccessKeys(ctx context.Context) (found []AccessKey, err error) {
	return found, c.call(ctx, http.MethodGet, "/access-keys", nil, &found)
}

// CreateAccessKey makes an access key.
func (c *Client) CreateAccessKey(ctx context.Context, req AccessKeyRequest) (made NewAccessKey, err error) {
	return made, c.call(ctx, http.MethodPost, "/access-keys", req, &made)
}

// RevokeAccessKey ends an access key at once.
func (c *Client) RevokeAccessKey(ctx context.Context, id string) error {
	response, err := c.send(ctx, http.MethodDelete, "/access-keys/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
