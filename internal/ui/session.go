package ui

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/ui/view"
)

// The cookies that only make things nicer: which theme, and what the reader
// called themselves.
const (
	themeCookie = "towline-theme"
	nameCookie  = "towline-name"
)

func themeOf(r *http.Request) string {
	cookie, err := r.Cookie(themeCookie)
	if err != nil || cookie.Value != "light" && cookie.Value != "dark" {
		return ""
	}
	return cookie.Value
}

// inside is a path of this server's, or the first page for anything else: forms
// and links from outside may lead nowhere else.
func inside(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (d *Dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	d.askWho(w, r, inside(r.URL.Query().Get("next")), "", http.StatusOK)
}

func (d *Dashboard) askWho(w http.ResponseWriter, r *http.Request, next, problem string, status int) {
	name := ""
	if cookie, err := r.Cookie(nameCookie); err == nil {
		name = cookie.Value
	}
	page := view.Page{Title: "Sign in", Theme: themeOf(r), Assets: d.assets.path(), Now: d.Now(), Problem: problem}
	d.render(w, r, view.SignIn(page, next, name), status)
}

func (d *Dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	next := inside(r.FormValue("next"))
	cookie, err := client.Within(d.API, r).SignIn(r.Context(), client.SessionRequest{Credential: r.FormValue("credential"), Name: r.FormValue("name")})
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		d.askWho(w, r, next, refusal.Error(), refusal.Status)
		return
	}
	if err != nil {
		d.Logger.Error("sign in", "error", err)
		d.askWho(w, r, next, "The server could not sign you in; its log says why.", http.StatusInternalServerError)
		return
	}
	http.SetCookie(w, cookie)
	d.keep(w, nameCookie, r.FormValue("name"))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	cookie, err := client.Within(d.API, r).SignOut(r.Context())
	if refusal, ok := errors.AsType[*client.Error](err); err != nil && (!ok || refusal.Status != http.StatusUnauthorized) {
		d.Logger.Error("sign out", "error", err)
		http.Error(w, "you are still signed in: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if err == nil {
		http.SetCookie(w, cookie)
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

func (d *Dashboard) setTheme(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	d.keep(w, themeCookie, r.FormValue("theme"))
	http.Redirect(w, r, inside(r.FormValue("back")), http.StatusSeeOther)
}

// keep has the browser remember something that is no secret, for a year.
func (d *Dashboard) keep(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // no secret, and the server may be reached by http
		Name: name, Value: value, Path: "/", Expires: d.Now().Add(365 * 24 * time.Hour), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
