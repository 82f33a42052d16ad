// Package ui is the dashboard: pages for browsers, made of what the native API
// answers. Its noun is the visit, one request of a browser on behalf of whoever
// is signed in there. It asks the API as any client does, with the visitor's own
// session, so that it can do nothing that the API cannot and nobody can do
// through it what they may not. It knows none of the rooms behind the API.
package ui

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/klauspost/compress/gzhttp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/ui/view"
)

// Config is what the dashboard needs.
type Config struct {
	// API is the native API as it is served, with its checks of who asks.
	API     http.Handler
	Version string // of the server
	// Components is true to show the page of all parts at /ui/components.
	Components bool
	Now        func() time.Time
	Logger     *slog.Logger
}

// Dashboard answers browsers.
type Dashboard struct {
	Config
	assets assets
}

// New makes the handler of all pages.
func New(config Config) (http.Handler, error) {
	d := &Dashboard{Config: config, assets: readAssets()}
	smaller, err := gzhttp.NewWrapper(gzhttp.MinSize(1024))
	if err != nil {
		return nil, err
	}
	return guarded(smaller(d.routes())), nil
}

// routes is the whole of the dashboard: where each page is, and what its forms
// do.
func (d *Dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/{version}/{file}", d.assets)
	mux.HandleFunc("GET /sign-in", d.signInPage)
	mux.HandleFunc("POST /sign-in", d.signIn)
	mux.HandleFunc("POST /sign-out", d.signOut)
	mux.HandleFunc("POST /theme", d.setTheme)

	mux.HandleFunc("GET /{$}", d.page(pipelines))
	mux.HandleFunc("GET /pipelines/{name}", d.page(onePipeline))
	mux.HandleFunc("POST /pipelines/{name}/run", d.act(onePipeline, runPipeline))
	mux.HandleFunc("POST /pipelines/{name}/transition", d.act(onePipeline, setTransition))
	mux.HandleFunc("GET /executions/{id}", d.page(execution))
	mux.HandleFunc("GET /executions/{id}/stages/{stage}/{attempt}/actions/{action}", d.page(action))
	mux.HandleFunc("POST /executions/{id}/decide", d.act(execution, decide))
	mux.HandleFunc("POST /executions/{id}/stop", d.act(execution, stop))
	mux.HandleFunc("POST /executions/{id}/retry", d.act(execution, retry))
	mux.HandleFunc("POST /executions/{id}/override", d.act(execution, override))
	mux.HandleFunc("POST /executions/{id}/rollback", d.act(execution, rollBack))

	if d.Components {
		mux.HandleFunc("GET /ui/components", d.page(components))
	}
	mux.HandleFunc("/", d.nowhere)
	return mux
}

// guarded tells browsers what pages may do: they run no script but this
// server's files, send nothing elsewhere, and stand in nobody's frame.
func guarded(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "private, no-cache")
		next.ServeHTTP(w, r)
	})
}

// visit is one request of somebody who is signed in.
type visit struct {
	*http.Request
	api  *client.Client
	page view.Page
}

// show makes a page out of the API's answers.
type show func(v *visit) (templ.Component, error)

// page answers with a page, or with why there is none.
func (d *Dashboard) page(draw show) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := d.visit(r)
		if err != nil {
			d.trouble(w, v, err)
			return
		}
		d.answer(w, v, draw, http.StatusOK)
	}
}

// act answers a form: do does what it asks for and says where to go then. When
// that is refused, the page that the form stands on tells why.
func (d *Dashboard) act(on show, do func(v *visit) (next string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		v, err := d.visit(r)
		if err != nil {
			d.trouble(w, v, err)
			return
		}
		next, err := do(v)
		refusal, refused := errors.AsType[*client.Error](err)
		switch {
		case err == nil:
			http.Redirect(w, r, next, http.StatusSeeOther)
		case refused && refusal.Status != http.StatusUnauthorized && refusal.Status != http.StatusNotFound:
			v.page.Problem = refusal.Error()
			d.answer(w, v, on, refusal.Status)
		default:
			d.trouble(w, v, err)
		}
	}
}

// visit finds out who asks.
func (d *Dashboard) visit(r *http.Request) (*visit, error) {
	v := &visit{Request: r, api: client.Within(d.API, r)}
	v.page = view.Page{Path: r.URL.RequestURI(), Theme: themeOf(r), Version: d.Version, Assets: d.assets.path(), Now: d.Now()}
	var err error
	v.page.Session, err = v.api.Session(r.Context())
	return v, err
}

func (d *Dashboard) answer(w http.ResponseWriter, v *visit, draw show, status int) {
	made, err := draw(v)
	if err != nil {
		d.trouble(w, v, err)
		return
	}
	d.render(w, v.Request, made, status)
}

func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, page templ.Component, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := page.Render(r.Context(), w); err != nil {
		d.Logger.Debug("write page", "path", r.URL.Path, "error", err)
	}
}

// trouble answers in place of a page that cannot be made. Those who are not
// signed in, or not any more, are asked to do so and led back.
func (d *Dashboard) trouble(w http.ResponseWriter, v *visit, err error) {
	refusal, ok := errors.AsType[*client.Error](err)
	switch {
	case ok && refusal.Status == http.StatusUnauthorized:
		back := "/sign-in?next=" + url.QueryEscape(v.page.Path)
		if v.Header.Get("Hx-Request") != "" { // a part of a page: the whole has to go
			w.Header().Set("Hx-Redirect", back)
			w.WriteHeader(http.StatusOK)
			return
		}
		http.Redirect(w, v.Request, back, http.StatusSeeOther)
	case ok && refusal.Status == http.StatusNotFound:
		v.page.Title = "Not found"
		d.render(w, v.Request, view.Trouble(v.page, "Not found", refusal.Error()), http.StatusNotFound)
	case ok && refusal.Status >= 400:
		v.page.Title = "Refused"
		d.render(w, v.Request, view.Trouble(v.page, "This cannot be shown", refusal.Error()), refusal.Status)
	default:
		d.Logger.Error("make page", "path", v.URL.Path, "error", err)
		v.page.Title = "Error"
		d.render(w, v.Request, view.Trouble(v.page, "This cannot be shown", "The server could not make this page; its log says why."), http.StatusInternalServerError)
	}
}

// nowhere answers for paths that are none.
func (d *Dashboard) nowhere(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.NotFound(w, r)
		return
	}
	d.page(func(*visit) (templ.Component, error) {
		return nil, &client.Error{Status: http.StatusNotFound, Message: "there is no page at " + r.URL.Path}
	})(w, r)
}

func components(v *visit) (templ.Component, error) {
	v.page.Title = "Components"
	return view.Components(v.page), nil
}
