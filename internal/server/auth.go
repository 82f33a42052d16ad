package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/config"
)

// authenticated lets only the admin token through: as a bearer token, or as
// the password of basic authentication under any user name, which is how git
// sends it.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if same(secretOf(r), s.Tokens.Admin) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="towline"`)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"title":"Unauthorized","status":401,"detail":"the token is missing or wrong","hint":"the server keeps it in the file admin-token of its data directory; give it with --token or TOWLINE_TOKEN, or to git as the password"}` + "\n"))
	})
}

// RegistryAccess says who may use the embedded registry: the admin token all
// of it, the pull token only reading.
func RegistryAccess(tokens config.Tokens) func(r *http.Request, repository string, push bool) bool {
	return func(r *http.Request, _ string, push bool) bool {
		secret := secretOf(r)
		return same(secret, tokens.Admin) || (!push && same(secret, tokens.Pull))
	}
}

func secretOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// same compares in constant time, lengths included.
func same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
