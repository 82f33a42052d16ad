// Package forge speaks with the places where teams keep their repositories:
// GitHub, GitLab, Gitea, Forgejo and Bitbucket Cloud. Its nouns are the Event,
// what a webhook tells once its signature has been checked, and the Status,
// what becomes of a commit and is shown beside it.
//
// In the flow it stands before source: webhook -> Event -> a mirror is updated
// -> Revision; and behind the verdict, which goes back as a Status. It does not
// know pipelines, mirrors, or where secrets are kept, and it believes an event
// only so far that it is worth to look: what is built comes out of git.
package forge

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Kind is a sort of forge. Forgejo is a Gitea here: their APIs are the same.
type Kind string

// The kinds.
const (
	GitHub    Kind = "github"
	GitLab    Kind = "gitlab"
	Gitea     Kind = "gitea"
	Bitbucket Kind = "bitbucket"
)

// ParseKind reads the name of a forge, in which case it is written.
func ParseKind(name string) (Kind, error) {
	switch k := Kind(strings.ToLower(name)); k {
	case GitHub, GitLab, Gitea, Bitbucket:
		return k, nil
	case "forgejo", "codeberg":
		return Gitea, nil
	}
	return "", &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.40q is no forge that is known here", name),
		Hint: "use github, gitlab, gitea, forgejo or bitbucket"}
}

// The kinds of refusal. Each one is wrapped by an *Error.
var (
	// ErrUnsigned is a request that its sender has not signed as agreed: the
	// signature is missing, wrong, or older than it may be.
	ErrUnsigned = errors.New("not signed")
	ErrTooLarge = errors.New("too large")
	ErrInvalid  = errors.New("not valid")
)

// Error is a refusal, with words for the person who set up the webhook. They
// never contain a secret.
type Error struct {
	Kind    error  // one of the Err variables of this package
	Message string // what is wrong
	Hint    string // how to mend it; may be empty
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// StatusCode is the HTTP status that answers a request which ended in err.
func StatusCode(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, ErrUnsigned):
		return http.StatusUnauthorized
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrInvalid):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func invalid(format string, args ...any) error {
	return &Error{Kind: ErrInvalid, Message: fmt.Sprintf(format, args...)}
}
