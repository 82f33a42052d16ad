//go:build linux

package runner

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// orderWithin is how long a Pod waits for its build. A server that was away
	// comes back within that, or makes another Pod.
	orderWithin = 30 * time.Minute
	// keptFor is how long a Pod keeps what its build has made for a server that
	// is away.
	keptFor = 24 * time.Hour
	// stalled is how long a part of a stream may take to come or to go.
	stalled = time.Minute
	// logPart bounds one answer with a part of the log.
	logPart = 4 << 20
	// logLook is how often a log that nobody has written to is looked at.
	logLook = 10 * time.Millisecond
)

// errForsaken ends a runner that no server has asked for too long.
var errForsaken = errors.New("no server has asked for this build any more")

// Config is what a runner needs.
type Config struct {
	// Dir is the build's volume, Mount in a Pod.
	Dir string
	// Temp is the directory of temporary files, /tmp in a Pod.
	Temp string
	// Program is this program's path, as the commands see it.
	Program string
	// Alone says that this process does nothing else, so that all processes which
	// descend from it are the build's, and end with it.
	Alone bool
	// Environ is the image's environment.
	Environ  []string
	Listener net.Listener
}

// Main is the runner of a Pod, and returns its exit code.
func Main(ctx context.Context) int {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(Port)))
	if err == nil {
		err = Serve(ctx, Config{Alone: true, Dir: Mount, Temp: "/tmp", Program: Bin + "/towline", Environ: os.Environ(), Listener: listener})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Serve takes one build, runs it and gives out what comes of it, until the
// server has it all, nobody asks any more, or ctx ends. The commands do not
// outlive it.
func Serve(ctx context.Context, config Config) error {
	r := &runner{config: config, started: make(chan struct{}), ended: make(chan struct{}), left: make(chan struct{})}
	r.errands.file = r.path("own", "cache.archive")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.run = func(order Order) { go r.build(ctx, order) }
	server := &http.Server{Handler: r.handler(), ReadHeaderTimeout: stalled, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = server.Serve(config.Listener) }() // it ends with Close
	defer func() { _ = server.Close() }()
	select {
	case <-r.started:
	case <-r.left:
		return nil
	case <-time.After(orderWithin):
		return errForsaken
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	<-r.ended // with ctx, if not by itself
	select {
	case <-r.left:
		// The answer is on its way still.
		within, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		return server.Shutdown(within)
	case <-time.After(keptFor):
		return errForsaken
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runner runs one build. Its token is the first one that it hears, before
// anything of the user's runs.
type runner struct {
	config Config
	run    func(Order) // in the background

	receiving sync.Mutex // held while a build comes in

	mu       sync.Mutex
	token    string
	stage    Stage
	stop     context.CancelCauseFunc
	snapshot snapshot
	result   Result
	errands  errands

	started, ended, left chan struct{}
	leave                sync.Once
}

// snapshot is what tells the build's changes.
type snapshot interface {
	Gone() ([]string, error)
	Unchanged(below string, info os.FileInfo) bool
}

func (r *runner) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, do := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /state": r.serveState, "POST /build": r.serveBuild, "GET /log": r.serveLog, "GET /result": r.serveResult,
		"GET /files": r.serveFiles, "POST /stop": r.serveStop, "POST /leave": r.serveLeave,
		"GET /errand": r.serveErrand, "GET /archive": r.giveArchive, "POST /archive": r.takeArchive, "POST /done": r.endErrand,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			if !r.knows(q) {
				http.Error(w, "this runner belongs to another server", http.StatusUnauthorized)
				return
			}
			if err := do(w, q); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			}
		})
	}
	return mux
}

// knows tells whether a request has the token; the first one brings it.
func (r *runner) knows(q *http.Request) bool {
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok || len(token) < 16 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.token == "" {
		r.token = token
	}
	return subtle.ConstantTimeCompare([]byte(r.token), []byte(token)) == 1
}

func (r *runner) state() State {
	r.mu.Lock()
	s := State{Stage: r.stage}
	r.mu.Unlock()
	if s.Stage == "" {
		s.Stage = Waiting
	}
	s.LogSize = r.logSize()
	return s
}

func (r *runner) serveState(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, r.state())
}

func answer(w http.ResponseWriter, what any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(what)
}

// serveLog answers with what the log has from a byte on: as soon as there is
// something, in whole lines while the build runs, and with nothing after
// LogWait.
func (r *runner) serveLog(w http.ResponseWriter, q *http.Request) error {
	from, err := strconv.ParseInt(q.URL.Query().Get("from"), 10, 64)
	if err != nil || from < 0 {
		return errors.New("which part of the log is asked for? say from=BYTE")
	}
	over := time.After(LogWait)
	for {
		// Asked before reading: what is written before the end is read after.
		last := r.isEnded()
		part, err := r.logFrom(from)
		if err != nil {
			return err
		}
		if !last {
			part = wholeLines(part)
		}
		last = last && len(part) < logPart
		select {
		case <-over:
		case <-q.Context().Done():
			return nil
		default:
			if len(part) == 0 && !last {
				r.pause()
				continue
			}
		}
		if last {
			w.Header().Set(EndedHeader, "true")
		}
		_, _ = w.Write(part)
		return nil
	}
}

// pause waits for a moment, or for the end.
func (r *runner) pause() {
	select {
	case <-time.After(logLook):
	case <-r.ended:
	}
}

func (r *runner) isEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// wholeLines leaves out a line that has no end yet, unless it is all there is
// room for.
func wholeLines(part []byte) []byte {
	for i := len(part); i > 0; i-- {
		if part[i-1] == '\n' {
			return part[:i]
		}
	}
	if len(part) == logPart {
		return part
	}
	return nil
}

func (r *runner) logSize() int64 {
	info, err := os.Stat(r.logFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

func (r *runner) logFrom(from int64) ([]byte, error) {
	file, err := os.Open(r.logFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer file.Close()
	part, err := io.ReadAll(io.NewSectionReader(file, from, logPart))
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return part, nil
}

func (r *runner) serveResult(w http.ResponseWriter, q *http.Request) error {
	select {
	case <-r.ended:
	case <-q.Context().Done():
		return nil
	case <-time.After(LogWait):
		return errors.New("the build has not ended yet")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return answer(w, r.result)
}

func (r *runner) serveStop(w http.ResponseWriter, q *http.Request) error {
	r.mu.Lock()
	stop := r.stop
	r.mu.Unlock()
	if stop == nil {
		return answer(w, r.state())
	}
	stop(errStopped)
	select {
	case <-r.ended:
	case <-q.Context().Done():
	}
	return answer(w, r.state())
}

func (r *runner) serveLeave(w http.ResponseWriter, _ *http.Request) error {
	r.mu.Lock()
	stop := r.stop
	r.mu.Unlock()
	if stop != nil {
		stop(errStopped)
	}
	r.leave.Do(func() { close(r.left) })
	return answer(w, r.state())
}
