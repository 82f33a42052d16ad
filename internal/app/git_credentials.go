package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/store"
)

var _ build.GitCredentials = (*mirrors)(nil)

// GitCredential is what a mirror is fetched with, when that is a password over
// HTTPS. A repository of this server's own has none: a token of the server
// would let its builds do anything.
func (m *mirrors) GitCredential(ctx context.Context, repository string) (build.GitCredential, bool, error) {
	mirror, err := m.LoadMirror(ctx, repository)
	if errors.Is(err, store.ErrNotFound) {
		return build.GitCredential{}, false, nil
	}
	if err != nil {
		return build.GitCredential{}, false, err
	}
	at, err := url.Parse(mirror.URL)
	if err != nil {
		return build.GitCredential{}, false, fmt.Errorf("read the address of mirror %s: %w", repository, err)
	}
	password := mirror.Credentials.Password
	if at.Scheme != "https" || password == "" {
		return build.GitCredential{}, false, nil
	}
	return build.GitCredential{Host: at.Host, User: cmp.Or(mirror.Credentials.Username, "git"), Password: password}, true, nil
}
