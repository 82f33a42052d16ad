package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Mirror is a repository that lies elsewhere and is kept up to date here.
type Mirror struct {
	Name     string    `json:"name" doc:"of the repository here"`
	URL      string    `json:"url" doc:"where it lies, without credentials"`
	Forge    string    `json:"forge,omitempty" doc:"github, gitlab, gitea or bitbucket"`
	Interval string    `json:"interval" doc:"how often it is looked at when nothing tells of a change"`
	Webhook  string    `json:"webhook" doc:"where the forge tells of changes"`
	Looked   time.Time `json:"looked,omitzero"`
	Error    string    `json:"error,omitempty" doc:"of the last look"`
}

// MirrorRequest asks for a mirror. Its secrets are encrypted at rest and not
// given back.
type MirrorRequest struct {
	Name       string `json:"name"`
	URL        string `json:"url"`
	Forge      string `json:"forge,omitempty" enum:"github,gitlab,gitea,forgejo,bitbucket" doc:"who sends webhooks; default whoever signs them"`
	Interval   string `json:"interval,omitempty" doc:"such as 5m, the default; at least 15s"`
	Username   string `json:"username,omitempty"`
	Password   string `json:"password,omitempty" doc:"or a token"`
	PrivateKey string `json:"privateKey,omitempty" doc:"for ssh, in OpenSSH's form and without a passphrase"`
	KnownHosts string `json:"knownHosts,omitempty" doc:"for ssh: lines as in known_hosts"`
	// StatusToken may set the statuses of commits at the forge.
	StatusToken string `json:"statusToken,omitempty" doc:"token with which the forge is told what becomes of commits; none tells nothing"`
	StatusAPI   string `json:"statusAPI,omitempty" doc:"address of the forge's API, default the one of its public service"`
	Replace     bool   `json:"replace,omitempty" doc:"change a mirror that there is: what is left out stays as it is, but secrets are kept for the same server alone"`
}

// NewMirror is a mirror that has just been made. The secret is shown this once.
type NewMirror struct {
	Mirror
	Secret string `json:"secret" doc:"with which the forge signs its webhooks"`
}

// Mirrors lists the mirrors.
func (c *Client) Mirrors(ctx context.Context) (found []Mirror, err error) {
	return found, c.call(ctx, http.MethodGet, "/mirrors", nil, &found)
}

// AddMirror makes a mirror and fills it.
func (c *Client) AddMirror(ctx context.Context, req MirrorRequest) (made NewMirror, err error) {
	return made, c.call(ctx, http.MethodPost, "/mirrors", req, &made)
}

// RemoveMirror forgets where a mirror comes from. The repository stays.
func (c *Client) RemoveMirror(ctx context.Context, name string) error {
	response, err := c.send(ctx, http.MethodDelete, "/mirrors/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
