// Package server is everything that answers HTTP on Towline's one port: the
// native API, git over smart HTTP and the embedded registry. It checks who
// asks; what is asked is done by the rooms below.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Repositories is the git server, as far as the API needs it.
type Repositories interface {
	Create(ctx context.Context, name string) error
	List(ctx context.Context) ([]string, error)
	Revision(ctx context.Context, name, ref string) (pipeline.Revision, error)
	// Handler answers git's smart HTTP below /git/.
	Handler() http.Handler
}

// Config is what a Server needs.
type Config struct {
	Listen []string // addresses; the first is the one that URLs name
	URL    string   // where others reach it, "" for the first address
	Engine *engine.Engine
	// Run starts an execution of the newest revision of a branch, or of the one
	// that the pipeline watches when branch is "". Its errors are the engine's
	// and those of package source.
	Run          func(ctx context.Context, req engine.StartRequest, branch string) (pipeline.Execution, error)
	Store        *store.DB
	Repositories Repositories
	// Registry answers the OCI distribution API below /v2/ and checks its
	// callers itself.
	Registry http.Handler
	Clusters Clusters
	Mirrors  Mirrors
	// Hooks answers the webhooks of forges, by the path value "name". It checks
	// their signatures itself.
	Hooks http.Handler
	// Builder may be nil: there are no projects then.
	Builder Builder
	// AccessKeys are the keys of AWS's clients, and AWS answers these clients
	// and the webhooks that they set up, and checks both itself. Both may be
	// nil.
	AccessKeys AccessKeys
	// SignIns know who asks for the API.
	SignIns SignIns
	// Secrets are what builds get to know, AttestKeys what their images are
	// signed with.
	Secrets    Secrets
	AttestKeys AttestKeys
	// SecretMember tells which members of actions' configurations are not
	// shown. Nil is pipeline.IsSecretMember.
	SecretMember pipeline.SecretMember
	AWS          http.Handler
	// S3 answers the clients of S3, whose requests are known by their signature
	// alone. It may be nil.
	S3 S3
	// Functions are what actions and rules invoke, and Lambda answers AWS's
	// clients about them.
	Functions Functions
	Lambda    http.Handler
	// Notifications tell others of what happens.
	Notifications *notify.Notifier
	// Dashboard makes the pages for browsers over the native API. It may be nil.
	Dashboard func(api http.Handler) (http.Handler, error)
	Tokens    config.Tokens
	Version   string
	Logger    *slog.Logger
}

// Server is the HTTP side of one Towline.
type Server struct {
	Config
	http      http.Server
	listeners []net.Listener
	serving   sync.WaitGroup
}

// New takes the addresses, so that a port in use is told before anything else
// has begun, and serves nothing yet.
func New(config Config) (*Server, error) {
	s := &Server{Config: config}
	for _, address := range config.Listen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(listenError(address, err), s.closeListeners())
		}
		s.listeners = append(s.listeners, listener)
	}
	handler, err := s.routes()
	if err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	s.http = http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug)}
	return s, nil
}

func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: another program uses this port: stop it, or choose another with --listen HOST:PORT", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not allowed: choose a port above 1023 with --listen HOST:PORT", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// Address is the first address as it was bound, which tells the port where 0
// was asked for.
func (s *Server) Address() string { return s.listeners[0].Addr().String() }

// reach is where others reach the server.
func (s *Server) reach() string {
	return strings.TrimSuffix(cmp.Or(s.URL, config.URL(s.Address())), "/")
}

// Addresses are all addresses as they were bound, in the order of
// Config.Listen.
func (s *Server) Addresses() []string {
	var all []string
	for _, l := range s.listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// Start serves until Stop. Long answers, such as a log that is followed, end
// when ctx does.
func (s *Server) Start(ctx context.Context) {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	for _, listener := range s.listeners {
		s.serving.Go(func() {
			if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				s.Logger.Error("serve", "address", listener.Addr().String(), "error", err)
			}
		})
	}
}

// Stop takes no more requests and waits for those that run, until ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.serving.Wait()
	return err
}

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/git/", s.authenticated(s.Repositories.Handler()))
	mux.Handle("/v2/", s.Registry)
	if s.AWS != nil {
		mux.Handle("POST /{$}", s.AWS)
		mux.Handle("POST /hooks/aws/{path}", s.AWS)
	}
	mux.Handle("POST /hooks/{name}", s.Hooks)
	if s.Lambda != nil {
		mux.Handle("/2015-03-31/functions", s.Lambda)
		mux.Handle("/2015-03-31/functions/", s.Lambda)
	}
	api := s.api()
	mux.Handle("/api/", api)
	if s.Dashboard != nil {
		pages, err := s.Dashboard(api)
		if err != nil {
			return nil, err
		}
		mux.Handle("/", pages)
	}
	return s.objects(mux), nil
}

// api is the native API with its checks of who asks. It tells by itself who may
// sign in; functions come in forms too large for its description.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	described := hurried(s.describedAPI())
	mux.Handle("PUT /api/v1/functions/{name}", s.allowed(client.Admin, s.putFunction))
	mux.Handle("POST /api/v1/session", http.NewCrossOriginProtection().Handler(described))
	mux.Handle("/api/", s.recognized(described))
	return mux
}

// hurried ends an answer that its client does not read soon after the request's
// context has ended, so that such a client does not hold up Stop.
func hurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stop := context.AfterFunc(r.Context(), func() {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		})
		defer stop()
		next.ServeHTTP(w, r)
	})
}
