package client

import (
	"context"
	"net/http"
	"time"
)

// SessionRequest is what somebody signs in with.
type SessionRequest struct {
	Credential string `json:"credential" minLength:"1" maxLength:"512" writeOnly:"true" doc:"the admin token, or an access key as ID:SECRET"`
	Name       string `json:"name,omitempty" maxLength:"100" doc:"how others shall see you where you decide something; default the access key's note, or admin"`
}

// Session is who asks, and what they may do.
type Session struct {
	Name string `json:"name"`
	Role Role   `json:"role" enum:"viewer,operator,admin"`
	// Owner may do what no access key can: make access keys.
	Owner bool `json:"owner" doc:"true for the admin token, with which alone access keys are made"`
	// Expires is when a browser has to sign in again, zero for a request with a
	// token of its own.
	Expires time.Time `json:"expires,omitzero"`
}

// Session tells whom the server takes the client for.
func (c *Client) Session(ctx context.Context) (s Session, err error) {
	return s, c.call(ctx, http.MethodGet, "/session", nil, &s)
}
