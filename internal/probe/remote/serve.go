package remote

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/towline/towline/internal/probe"
)

// tokenHeader carries the token. The API server's proxies take the usual
// Authorization header for themselves.
const tokenHeader = "Towline-Token"

// The timing of what is told.
const (
	followEvery = 200 * time.Millisecond
	logEvery    = 10 * time.Second
	DefaultIdle = 15 * time.Minute
)

// ServeConfig is what Serve needs. Task, Listener and Out are required.
type ServeConfig struct {
	Task     Task
	Listener net.Listener // Serve closes it
	// Out gets a report now and then and the final one at the end, each in a
	// line of JSON: they outlive the process in the log of its pod.
	Out io.Writer
	// Idle is how long nobody may ask before the prober ends by itself: a
	// deployer that died must not leave requests behind for ever. Default 15
	// minutes.
	Idle   time.Duration
	Logger *slog.Logger
}

// server is a prober that answers.
type server struct {
	ServeConfig
	prober *probe.Prober

	mu     sync.Mutex
	asked  time.Time // when somebody who may ask last did
	marked []string  // ids of the marks that came

	stopped  chan struct{} // closed when the final report is known
	stopping sync.Once
}

// Serve sends the requests of a task and answers who asks for the counts,
// until ctx ends or nobody has asked for too long. The final report goes to
// Out in both cases.
//
//	GET  /report   the counts so far, with marks and timeline
//	GET  /follow   the counts without these, line by line
//	POST /mark     {"id": ..., "text": ..., "agoMs": ...}
//	POST /rest     sends but one request per second until
//	POST /wake
//	POST /stop     ends the requests and answers with the final report
func Serve(ctx context.Context, cfg ServeConfig) error {
	if cfg.Idle <= 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	await(ctx, cfg.Task)
	s := &server{ServeConfig: cfg, asked: time.Now(), stopped: make(chan struct{})}
	prober, err := probe.Start(context.WithoutCancel(ctx), cfg.Task.config(cfg.Logger))
	if err != nil {
		return errors.Join(err, cfg.Listener.Close())
	}
	s.prober = prober
	web := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn)}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(cfg.Listener) }()
	err = s.attend(ctx, failed)
	s.stop()
	err = errors.Join(err, s.log(s.report()))
	return errors.Join(err, web.Close())
}

// await waits until the target takes a connection, for as long as the task
// allows. Whether it does is then for the counts to say.
func await(ctx context.Context, task Task) {
	target, err := url.Parse(task.URL)
	if err != nil || task.Patience <= 0 {
		return
	}
	port := target.Port()
	if port == "" {
		port = target.Scheme // its name is the port's as well
	}
	ctx, cancel := context.WithTimeout(ctx, task.Patience)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(target.Hostname(), port))
		if err == nil {
			_ = conn.Close()
			return
		}
		if !pause(ctx, again/5) {
			return
		}
	}
}

// attend logs a report now and then until ctx ends, or nobody asks any more.
func (s *server) attend(ctx context.Context, failed <-chan error) error {
	report, look := time.NewTicker(logEvery), time.NewTicker(min(s.Idle/4, time.Second))
	defer report.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve the prober's reports: %w", err)
		case <-report.C:
			if err := s.log(light(s.report())); err != nil {
				return err
			}
		case <-look.C:
			s.mu.Lock()
			alone := time.Since(s.asked)
			s.mu.Unlock()
			if alone > s.Idle {
				s.Logger.Warn("nobody has asked for a while: the prober ends", "for", alone.Round(time.Second))
				return nil
			}
		}
	}
}

func (s *server) stop() {
	s.stopping.Do(func() {
		s.prober.Stop()
		close(s.stopped)
	})
	<-s.stopped
}

func (s *server) report() Report {
	select {
	case <-s.stopped:
		return Report{Verdict: s.prober.Stop(), Final: true, Time: time.Now()}
	default:
		return Report{Verdict: s.prober.Snapshot(), Time: time.Now()}
	}
}

// light is a report without what only the end needs.
func light(r Report) Report {
	r.Verdict.Marks, r.Verdict.Timeline = nil, nil
	return r
}

func (s *server) log(r Report) error {
	if err := json.NewEncoder(s.Out).Encode(r); err != nil {
		return fmt.Errorf("write the prober's report: %w", err)
	}
	return nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) { s.answer(w) })
	mux.HandleFunc("GET /follow", s.follow)
	mux.HandleFunc("POST /mark", s.mark)
	mux.HandleFunc("POST /rest", func(w http.ResponseWriter, _ *http.Request) { s.prober.Rest(); s.answer(w) })
	mux.HandleFunc("POST /wake", func(w http.ResponseWriter, _ *http.Request) { s.prober.Wake(); s.answer(w) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) { s.stop(); s.answer(w) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(s.Task.Token)) != 1 {
			http.Error(w, "the token is missing or wrong", http.StatusForbidden)
			return
		}
		s.touch()
		mux.ServeHTTP(w, r)
	})
}

func (s *server) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
}

func (s *server) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.report()); err != nil {
		s.Logger.Debug("answer not sent", "error", err)
	}
}

// follow tells the counts until the end, or until nobody listens.
func (s *server) follow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonlines")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		report := s.report()
		err := json.NewEncoder(w).Encode(light(report))
		if err = errors.Join(err, flush.Flush()); err != nil || report.Final {
			return
		}
		s.touch()
		select {
		case <-r.Context().Done():
			return
		case <-s.stopped:
		case <-tick.C:
		}
	}
}

// mark is the body of a request to /mark.
type mark struct {
	ID    string `json:"id"` // a mark that is sent again has the same
	Text  string `json:"text"`
	AgoMs int64  `json:"agoMs"`
}

func (s *server) mark(w http.ResponseWriter, r *http.Request) {
	var m mark
	if err := json.NewDecoder(io.LimitReader(r.Body, 4<<10)).Decode(&m); err != nil || m.ID == "" || len(m.ID) > 64 || m.AgoMs < 0 {
		http.Error(w, `want {"id": "...", "text": "...", "agoMs": 0}`, http.StatusBadRequest)
		return
	}
	if s.first(m.ID) {
		s.prober.MarkAt(m.Text, time.Now().Add(-time.Duration(m.AgoMs)*time.Millisecond))
	}
	w.WriteHeader(http.StatusNoContent)
}

// first tells whether a mark comes for the first time. The answer to the last
// one may have been lost on its way; marks come one after the other.
func (s *server) first(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.marked, id) {
		return false
	}
	s.marked = append(s.marked[max(0, len(s.marked)-63):], id)
	return true
}
