package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Secret is a stored secret without its value, which the server never gives
// back.
type Secret struct {
	Name    string    `json:"name"`
	Users   []string  `json:"users" doc:"patterns of the pipelines, and as project:NAME of the projects, whose builds may use it"`
	Version int       `json:"version" doc:"the newest, from 1"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated" doc:"when the newest version was given"`
}

// SecretRequest makes a secret, a new version of it, or changes who may use it.
type SecretRequest struct {
	Name string `json:"name" maxLength:"512" doc:"a path such as /web/db-password or web/db"`
	// Value is not repeated in errors and logs.
	Value *string  `json:"value,omitempty" writeOnly:"true" doc:"text of at most 64 KiB; without it the value stays as it is"`
	Users []string `json:"users,omitempty" maxItems:"100" doc:"replaces who may use it: patterns of pipelines, such as web or api-*, and of projects, such as project:web; default of a new secret: *, all"`
}

// Secrets lists the stored secrets by name.
func (c *Client) Secrets(ctx context.Context) (found []Secret, err error) {
	return found, c.call(ctx, http.MethodGet, "/secrets", nil, &found)
}

// SetSecret changes a secret.
func (c *Client) SetSecret(ctx context.Context, req SecretRequest) (changed Secret, err error) {
	return changed, c.call(ctx, http.MethodPost, "/secrets", req, &changed)
}

// DeleteSecret forgets a secret with all of its versions.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/secrets?"+url.Values{"name": {name}}.Encode(), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
