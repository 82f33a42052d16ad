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
	"slices"
	"sync"
	"time"
)

// Answer takes up a push and returns what the pusher is to read, a line each.
// It is called for several repositories at once, but for one repository one
// call at a time, and each branch is told as it stands then: of two pushes that
// overlap the later may be told first, and the second call then tells the same
// commit again, never an older one. A push may be told never (the server died,
// the hook could not run), so what must not be missed is to be found by Heads
// as well. The context does not end when the pusher goes away, only after
// answerLimit or when Stop has waited long enough.
type Answer func(ctx context.Context, push Push) []string

const answerLimit = 2 * time.Minute

// lifetime is what runs between Start and Stop.
type lifetime struct {
	mu     sync.Mutex
	socket string // of the hook; empty until the first Start
	scrap  string // directory to remove at Stop, if the socket needed one
	server *http.Server
	work   sync.WaitGroup
	busy   map[string]bool // repositories that are being tidied or wait for it
	tidy   sync.Mutex      // one repository at a time

	// The contexts of what runs, and their ends: tidying is broken off as soon
	// as Stop is called, answers only when Stop has waited long enough.
	tidying, answering       context.Context
	endTidying, endAnswering context.CancelCauseFunc
}

var errStopping = errors.New("the server stops")

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
	listener, err := net.Listen("unix", l.socket) //nolint:noctx // it waits for nothing
	if err != nil {
		return fmt.Errorf("start repositories: %w", err)
	}
	// Its directory has mode 0700 from before it was bound.
	if err := os.Chmod(l.socket, 0o600); err != nil {
		return errors.Join(fmt.Errorf("start repositories: %w", err), listener.Close())
	}
	l.tidying, l.endTidying = context.WithCancelCause(context.Background())
	l.answering, l.endAnswering = context.WithCancelCause(context.Background())
	l.busy = map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /push", func(w http.ResponseWriter, req *http.Request) { r.serveHook(w, req, fn) }) //nolint:contextcheck // a push is told also when its pusher leaves
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
	l.endTidying(errStopping)
	err := server.Shutdown(ctx)
	l.endAnswering(errStopping)
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
	lines := r.answer(push, fn)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer{Lines: lines}); err != nil {
		r.log.Debug("the pusher left before the answer", "repository", push.Repository, "error", err)
	}
}

func (r *Repositories) answer(push Push, fn Answer) []string {
	release := r.inOrder.hold(push.Repository)
	defer release()
	ctx, cancel := context.WithTimeout(r.life.answering, answerLimit)
	defer cancel()
	start := time.Now()
	if heads, err := r.Heads(ctx, push.Repository); err == nil {
		push.Updates = standing(push.Updates, heads)
	} else {
		r.log.Warn("a push is told as it came, which is wrong if another overtook it", "repository", push.Repository, "error", err)
	}
	lines := fn(ctx, push)
	r.log.Info("repository pushed", "repository", push.Repository, "refs", len(push.Updates), "seconds", time.Since(start).Seconds())
	return lines
}

// standing is the updates with each branch at the commit where it stands.
func standing(updates []Update, heads map[string]string) []Update {
	now := slices.Clone(updates)
	for i, u := range now {
		if branch, ok := u.Branch(); ok {
			now[i].New = heads[branch]
		}
	}
	return now
}
