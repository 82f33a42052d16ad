package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/secret"
)

// ErrNobody is the error of SignIns for a credential or a session that is not
// good, or not any more.
var ErrNobody = errors.New("nobody is known by this credential")

// SignIns know who asks.
type SignIns interface {
	// Check tells whose credential it is: the admin token, or an access key as
	// ID:SECRET. The error is ErrNobody for any other.
	Check(ctx context.Context, credential string) (client.Session, error)
	// SignIn makes a session, which a browser is known by from then on. The
	// error is ErrNobody as Check's.
	SignIn(ctx context.Context, req client.SessionRequest) (token string, who client.Session, err error)
	// Session finds a session again. The error is ErrNobody when it is over.
	Session(ctx context.Context, token string) (client.Session, error)
	SignOut(ctx context.Context, token string) error
}

// callerKey is where a request's context has its client.Session.
type callerKey struct{}

// caller is who asks. Every request below /api/ has one.
func caller(ctx context.Context) client.Session {
	who, _ := ctx.Value(callerKey{}).(client.Session)
	return who
}

// by is the name under which something is decided: the admin token, which many
// may share, can say for whom it asks; all others are who they are.
func by(ctx context.Context, claimed string) string {
	who := caller(ctx)
	if claimed != "" && who.Owner && who.Expires.IsZero() {
		return claimed
	}
	return who.Name
}

// recognized lets those through who are known, by a credential or by the cookie
// of a session. What they may do is asked later.
func (s *Server) recognized(next http.Handler) http.Handler {
	crossing := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.recognize(r)
		if err == nil && who.Expires.IsZero() {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
			return
		}
		switch {
		case errors.Is(err, ErrNobody):
			unauthorized(w)
		case err != nil:
			s.Logger.Error("recognize caller", "error", err)
			refuse(w, http.StatusInternalServerError, "recognize caller: "+err.Error(), "")
		// A browser sends its cookie along with requests that other sites make.
		case crossing.Check(r) != nil:
			refuse(w, http.StatusForbidden, "this request comes from a page of another site", "open the dashboard at its own address, "+s.reach())
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
		}
	})
}

func (s *Server) recognize(r *http.Request) (client.Session, error) {
	if credential := credentialOf(r); credential != "" {
		return s.SignIns.Check(r.Context(), credential)
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return client.Session{}, ErrNobody
	}
	return s.SignIns.Session(r.Context(), cookie.Value)
}

// allowed lets those through who are recognized and may do what needs the role.
func (s *Server) allowed(needed client.Role, next http.HandlerFunc) http.Handler {
	return s.recognized(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := caller(r.Context()); !who.Role.Allows(needed) {
			refuse(w, http.StatusForbidden, lacks(who, needed), "")
			return
		}
		next(w, r)
	}))
}

func lacks(who client.Session, needed client.Role) string {
	return fmt.Sprintf("%s has the role %s, and this needs %s", who.Name, who.Role, needed)
}

// authenticated lets only the admin token through: as a bearer token, or as
// the password of basic authentication under any user name, which is how git
// sends it.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secret.Same(secretOf(r), s.Tokens.Admin) {
			next.ServeHTTP(w, r)
			return
		}
		unauthorized(w)
	})
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="towline"`)
	refuse(w, http.StatusUnauthorized, "the token is missing or wrong",
		"the server keeps it in the file admin-token of its data directory; give it with --token or TOWLINE_TOKEN, or to git as the password")
}

// refuse answers in the form of RFC 9457.
func refuse(w http.ResponseWriter, status int, detail, hint string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Hint   string `json:"hint,omitempty"`
	}{http.StatusText(status), status, detail, hint})
	if err == nil {
		_, _ = w.Write(append(text, '\n'))
	}
}

// RegistryAccess says who may use the embedded registry: the admin token all
// of it, the pull token only reading.
func RegistryAccess(tokens config.Tokens) func(r *http.Request, repository string, push bool) bool {
	return func(r *http.Request, _ string, push bool) bool {
		given := secretOf(r)
		return secret.Same(given, tokens.Admin) || (!push && secret.Same(given, tokens.Pull))
	}
}

// credentialOf is what SignIns knows the request by: ID:SECRET when the user of
// basic authentication is an access key's id, else the password or the token
// alone.
func credentialOf(r *http.Request) string {
	if user, password, ok := r.BasicAuth(); ok && strings.HasPrefix(user, "AKIA") {
		return user + ":" + password
	}
	return secretOf(r)
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
