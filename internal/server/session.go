package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
)

// sessionCookie is what a browser is known by once somebody has signed in.
const sessionCookie = "towline-session"

// sessionAnswer is a session, with the cookie that is set or taken away.
type sessionAnswer struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      client.Session
}

// signInRoutes is the one part of the API that needs no session: it makes one.
func (s *Server) signInRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/session", Summary: "Sign in, for browsers",
		Description: "The answer sets a cookie that stands for the credential until it expires, the access key is revoked or the admin token changes.",
	}, s.signIn)
}

func (s *Server) sessionRoutes(api huma.API) {
	huma.Get(api, "/session", s.getSession)
	huma.Register(api, huma.Operation{
		OperationID: "sign-out", Method: http.MethodDelete, Path: "/session", Summary: "Sign out", DefaultStatus: http.StatusOK,
	}, s.signOut)
}

func (s *Server) signIn(ctx context.Context, in *struct{ Body client.SessionRequest }) (*sessionAnswer, error) {
	token, who, err := s.SignIns.SignIn(ctx, in.Body)
	if errors.Is(err, ErrNobody) {
		return nil, huma.Error401Unauthorized("this is neither the admin token nor an access key as ID:SECRET; the token is in the file admin-token of the server's data directory, and \"towline accesskey create --role viewer\" makes a key")
	}
	if err != nil {
		return nil, s.fail("sign in", err)
	}
	return &sessionAnswer{s.cookie(token, who.Expires), who}, nil
}

// cookie is for this site alone, out of the reach of scripts. It comes along
// when somebody follows a link from elsewhere, so that links to an execution
// work, and not with what other sites post.
func (s *Server) cookie(value string, expires time.Time) http.Cookie {
	return http.Cookie{ //nolint:gosec // Secure where people reach the server by https
		Name: sessionCookie, Value: value, Path: "/", Expires: expires, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.reach(), "https:"),
	}
}

func (s *Server) getSession(ctx context.Context, _ *none) (*answer[client.Session], error) {
	return &answer[client.Session]{caller(ctx)}, nil
}

func (s *Server) signOut(ctx context.Context, in *struct {
	Session string `cookie:"towline-session"`
}) (*sessionAnswer, error) {
	if err := s.SignIns.SignOut(ctx, in.Session); err != nil {
		return nil, s.fail("sign out", err)
	}
	return &sessionAnswer{s.cookie("", time.Unix(0, 0)), caller(ctx)}, nil
}
