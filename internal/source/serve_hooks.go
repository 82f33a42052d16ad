package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Answer takes up a push and returns what the pusher is to read, a line each.
// It is called for several repositories at once, but for one repository one
// call at a time. Of two pushes that overlap, the later may be told first, and
// a push may be told never (the server died, the hook could not run): so take
// the Push as a sign that Heads has changed, and Heads as the truth. The
// context ends when the pusher no longer waits; work that must go on is the
// callee's to detach from it.
type Answer func(ctx context.Context, push Push) []string

// lifetime is what runs between Start and Stop.
type lifetime struct {
	mu     sync.Mutex
	socket string // of the hook; empty until the first Start
	scrap  string // directory to remove at Stop, if the socket needed one
	server *http.Server
	ctx    context.Context
	cancel context.CancelCauseFunc
	work   sync.WaitGroup
	busy   map[string]bool // repositories that are being tidied or wait for it
	tidy   sync.Mutex      // one repository at a time
}

func (l *lifetime) socketPath() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket
}

// maxSocket is the longest path of a unix socket that every system takes.
const maxSocket = 100

// Start begins to answer pushes and to tidy repositories, until Stop. It
// returns when pushes can be told.
func (r *Repositories) Start(fn Answer) error {
	l := &r.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		return errors.New("start repositories: started already")
	}
	if err := r.placeSocket(); err != nil {
		return fmt.Errorf("start repositories: %w", err)
	}
	listener, err := net.Listen("unix", l.socket)
	if err != nil {
		return fmt.Errorf("start repositories: %w", err)
	}
	// Its directory has mode 0700 from before it was bound.
	if err := os.Chmod(l.socket, 0o600); err != nil {
		return errors.Join(fmt.Errorf("start repositories: %w", err), listener.Close())
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.busy = map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push", func(w http.ResponseWriter, req *http.Request) { r.serveHook(w, req, fn) })
	l.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: r.cfg.HookTimeout,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelWarn),
	}
	server := l.server
	l.work.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.log.Error("the hook's socket ended; pushes are stored but not told", "error", err)
		}
	})
	return nil
}

// placeSocket chooses the path of the socket and clears what a dead server left
// there. The caller holds life.mu.
func (r *Repositories) placeSocket() error {
	l := &r.life
	l.socket, l.scrap = filepath.Join(r.dir, "hook.sock"), ""
	if len(l.socket) > maxSocket {
		scrap, err := os.MkdirTemp("", "towline-")
		if err != nil {
			return err
		}
		l.socket, l.scrap = filepath.Join(scrap, "hook.sock"), scrap
	}
	if err := os.Remove(l.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Stop ends what Start began. Pushes that are being answered get their answer,
// as long as ctx lasts; a repacking is broken off, which git bears.
func (r *Repositories) Stop(ctx context.Context) error {
	l := &r.life
	l.mu.Lock()
	server, scrap := l.server, l.scrap
	l.server = nil
	l.mu.Unlock()
	if server == nil {
		return nil
	}
	l.cancel(errors.New("the server stops"))
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop repositories: %w", err), server.Close())
	}
	l.work.Wait()
	if scrap != "" {
		err = errors.Join(err, os.RemoveAll(scrap))
	}
	return err
}

// serveHook answers one push.
func (r *Repositories) serveHook(w http.ResponseWriter, req *http.Request, fn Answer) {
	var push Push
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxPushed)).Decode(&push); err != nil {
		http.Error(w, "read push: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.require(push.Repository); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	release := r.inOrder.hold(push.Repository)
	defer release()
	start := time.Now()
	lines := fn(req.Context(), push)
	r.log.Info("repository pushed", "repository", push.Repository, "refs", len(push.Updates), "seconds", time.Since(start).Seconds())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer{Lines: lines}); err != nil {
		r.log.Debug("the pusher left before the answer", "repository", push.Repository, "error", err)
	}
}
