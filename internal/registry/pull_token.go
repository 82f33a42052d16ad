package registry

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A pull token says by itself what it is good for, so that the registry keeps
// no list of them:
//
//	towline-pull.KEY.REPOSITORIES.SIGNATURE
//
// KEY names the key that signed it, REPOSITORIES is the base64 of their names
// in order with a space between them, and SIGNATURE the base64 of an
// HMAC-SHA256 over all that stands before it. It does not expire by itself, for
// nodes pull an image again months after its deployment; it ends with its key.
const pullTokenPrefix = "towline-pull"

const (
	// maxScope is how many repositories one pull token may name.
	maxScope = 64
	// maxPullToken bounds what is looked at of a token that anybody sent.
	maxPullToken = 32 << 10
)

// PullToken makes a password that is good for pulling from the repositories
// named, and for nothing else, under any user name. The same repositories give
// the same password while the registry's key is the same. There must be one at
// least and 64 at most.
func (r *Registry) PullToken(repositories ...string) (string, error) {
	return r.pullKeys[0].token(repositories)
}

func (k pullKey) token(repositories []string) (string, error) {
	scope := slices.Clone(repositories)
	slices.Sort(scope)
	scope = slices.Compact(scope)
	if len(scope) == 0 || len(scope) > maxScope {
		return "", fmt.Errorf("make a pull token: it may name 1 to %d repositories, not %d", maxScope, len(scope))
	}
	for _, repository := range scope {
		if named(tags, repository, "").verb == unknown {
			return "", fmt.Errorf("make a pull token: %q is not the name of a repository", repository)
		}
	}
	text := pullTokenPrefix + "." + k.id + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Join(scope, " ")))
	return text + "." + k.sign(text), nil
}

// pullScope is what the pull token of a request is good for. ok is false when
// it has none, or one that no key of the registry has signed.
func (keys pullKeys) pullScope(r *http.Request) (repositories []string, ok bool) {
	token := passwordOf(r)
	if len(token) > maxPullToken || !strings.HasPrefix(token, pullTokenPrefix+".") {
		return nil, false
	}
	return keys.scope(token)
}

func (keys pullKeys) scope(token string) (repositories []string, ok bool) {
	text, signature, ok := cutLastDot(token)
	if !ok {
		return nil, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != pullTokenPrefix {
		return nil, false
	}
	for _, key := range keys {
		if key.id != parts[1] || !hmac.Equal([]byte(signature), []byte(key.sign(text))) {
			continue
		}
		scope, err := base64.RawURLEncoding.DecodeString(parts[2])
		return strings.Split(string(scope), " "), err == nil
	}
	return nil, false
}

func cutLastDot(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// passwordOf is the secret of a request, as Basic's password or as Bearer.
func passwordOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// pullPermitted decides over a request that carries a pull token: pulling from
// its own repositories, and asking at the root whether the token is good. A
// refusal is answered. A request with another secret is not decided.
func (r *Registry) pullPermitted(w http.ResponseWriter, req *http.Request, to route, push bool) (permitted, decided bool) {
	scope, ok := r.pullKeys.pullScope(req)
	switch {
	case !ok:
		return false, false
	case push:
		refuse(w, http.StatusForbidden, "DENIED", "this password is for pulling only")
		return false, true
	case to.verb == root || to.verb == unknown || slices.Contains(scope, to.repository):
		return true, true
	}
	refuse(w, http.StatusForbidden, "DENIED", "this password is for pulling "+strings.Join(scope, ", ")+" only")
	return false, true
}
