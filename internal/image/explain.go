package image

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// said is what a registry answered, in its own words when it had any.
func said(e *transport.Error) string {
	if len(e.Errors) == 0 {
		return fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	words := make([]string, len(e.Errors))
	for i, d := range e.Errors {
		words[i] = fmt.Sprintf("%s: %s", d.Code, d.Message)
	}
	return fmt.Sprintf("%d %s", e.StatusCode, strings.Join(words, "; "))
}

// login is how the server gets credentials for a registry.
func login(host string) string {
	return fmt.Sprintf("as the user that runs the server: docker login %s, or a credential helper in ~/.docker/config.json", host)
}

// explainPull tells why a base cannot be pulled and what mends it. A name that
// does not exist is the user's; a registry that does not answer is not.
func explainPull(ref name.Reference, err error) error {
	var refused *transport.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("pull base %s: %w; check that this machine reaches %s, or take the base from an OCI layout directory (base: oci:PATH)",
			ref, err, ref.Context().RegistryStr())
	}
	switch refused.StatusCode {
	case http.StatusNotFound:
		return refuse("base: %s does not exist: its registry said %s; check name and tag", ref, said(refused))
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse("base: %s cannot be pulled: its registry said %s; check the name, and if it is a private image, sign in (%s)",
			ref, said(refused), login(ref.Context().RegistryStr()))
	}
	return fmt.Errorf("pull base %s: the registry said %s; try again later: %w", ref, said(refused), err)
}

// explainPush does the same for the target.
func (m *making) explainPush(err error) error {
	host := m.target.RegistryStr()
	var refused *transport.Error
	if !errors.As(err, &refused) {
		return fmt.Errorf("push to %s: %w", m.target, err)
	}
	denied := refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden
	switch {
	case denied && m.embedded:
		return fmt.Errorf("push to %s: the embedded registry refused the server's own token (%s); restart the server, so that both read it anew: %w", m.target, said(refused), err)
	case denied:
		return refuse("repository: %s refused the push to %s and said %s; sign in with an account that may push there (%s)", host, m.target, said(refused), login(host))
	case refused.StatusCode == http.StatusNotFound && !m.embedded:
		return refuse("repository: %s does not know %s and said %s; create the repository there first", host, m.target.RepositoryStr(), said(refused))
	}
	return fmt.Errorf("push to %s: the registry said %s: %w", m.target, said(refused), err)
}
