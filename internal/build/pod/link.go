package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/kube"
)

const (
	// answerWithin is how long the runner may take to answer what needs no work.
	answerWithin = 20 * time.Second
	// stalled is how long a part of a stream may take to come or to go.
	stalled = time.Minute
	// mostAnswer bounds an answer that is no stream: a part of the log, or the
	// result with the exported variables.
	mostAnswer = 64 << 20
)

// errForeign says that a runner has got another server's token.
var errForeign = errors.New("the Pod of the build obeys another server")

// link speaks with the runner of one Pod. What breaks is opened anew by the
// next call.
type link struct {
	cluster        *kube.Cluster
	namespace, pod string
	token          string

	mu      sync.Mutex
	forward way
	client  *http.Client
}

// way is a connection to a Pod, kube.Forward in clusters.
type way interface {
	Dial(port int) (net.Conn, error)
	Closed() <-chan bool
	Close() error
}

var _ way = (*kube.Forward)(nil)

// errBroken is the cause of a request that ends with its connection.
var errBroken = errors.New("the connection to the Pod is broken")

// open returns the client of the present connection.
func (l *link) open(ctx context.Context) (*http.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		return l.client, nil
	}
	forward, err := l.cluster.Forward(ctx, l.namespace, l.pod)
	if err != nil {
		return nil, err
	}
	l.forward = forward
	l.client = &http.Client{Transport: &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return forward.Dial(runner.Port) },
		DisableCompression: true,
	}}
	return l.client, nil
}

// close ends the connection. The next call opens another.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return
	}
	l.client.CloseIdleConnections()
	_ = l.forward.Close()
	l.client, l.forward = nil, nil
}

// whole ends the context of a request when the connection breaks on which it was
// sent: its stream may not notice. The caller calls stop once it has the answer.
func (l *link) whole(ctx context.Context, end context.CancelCauseFunc) (stop func(), err error) {
	if _, err := l.open(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	forward := l.forward
	l.mu.Unlock()
	if forward == nil {
		return nil, errBroken
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-forward.Closed():
			end(errBroken)
		case <-done:
		}
	}()
	return sync.OnceFunc(func() { close(done) }), nil
}

// ask sends a request and returns the answer, whose body is the caller's to
// close. Any error closes the connection.
func (l *link) ask(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	client, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://runner"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.token)
	response, err := client.Do(request)
	if err != nil {
		l.close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("ask the runner of pod %s: %w", l.pod, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response, nil
	case http.StatusUnauthorized:
		err = errForeign
	default:
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		err = fmt.Errorf("ask the runner of pod %s: %s: %s", l.pod, response.Status, strings.TrimSpace(string(text)))
	}
	_ = response.Body.Close()
	return nil, err
}

// read asks for something small.
func (l *link) read(ctx context.Context, method, path string, within time.Duration) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop, err := l.whole(ctx, end)
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	response, err := l.ask(ctx, method, path, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		l.close()
		return nil, nil, fmt.Errorf("read the answer of pod %s: %w", l.pod, err)
	}
	return text, response.Header, nil
}

func (l *link) decode(ctx context.Context, method, path string, into any) error {
	text, _, err := l.read(ctx, method, path, answerWithin)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer of pod %s: %w", l.pod, err)
	}
	return nil
}

func (l *link) state(ctx context.Context) (s runner.State, err error) {
	return s, l.decode(ctx, http.MethodGet, "/state", &s)
}

func (l *link) stop(ctx context.Context) (s runner.State, err error) {
	return s, l.decode(ctx, http.MethodPost, "/stop", &s)
}

func (l *link) leave(ctx context.Context) error {
	var s runner.State
	return l.decode(ctx, http.MethodPost, "/leave", &s)
}

func (l *link) result(ctx context.Context) (r runner.Result, err error) {
	return r, l.decode(ctx, http.MethodGet, "/result", &r)
}

// log asks for what the log has from a byte on, and whether that is its end.
func (l *link) log(ctx context.Context, from int64) (part []byte, ended bool, err error) {
	part, header, err := l.read(ctx, http.MethodGet, "/log?from="+strconv.FormatInt(from, 10), runner.LogWait+answerWithin)
	return part, header.Get(runner.EndedHeader) != "", err
}

// send sends a stream of any length, which write writes.
func (l *link) send(ctx context.Context, path string, write func(io.Writer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop, err := l.whole(ctx, cancel)
	if err != nil {
		return err
	}
	defer stop()
	read, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(out)
		_ = out.CloseWithError(err)
		done <- err
	}()
	patient := newPatience(cancel)
	defer patient.stop()
	response, err := l.ask(ctx, http.MethodPost, path, patient.reader(read))
	// The writer must not wait for a reader that has gone.
	_ = read.CloseWithError(io.ErrClosedPipe)
	if writing := <-done; writing != nil && !errors.Is(writing, io.ErrClosedPipe) {
		err = errors.Join(writing, err)
	}
	if response != nil {
		_ = response.Body.Close()
	}
	return err
}

// receive asks for a stream of any length, which read reads to its end.
func (l *link) receive(ctx context.Context, path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop, err := l.whole(ctx, cancel)
	if err != nil {
		return err
	}
	defer stop()
	patient := newPatience(cancel)
	defer patient.stop()
	response, err := l.ask(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := read(patient.reader(response.Body)); err != nil {
		l.close()
		return err
	}
	return nil
}

// patience ends a request whose stream stands still.
type patience struct{ timer *time.Timer }

// errStalled is the cause.
var errStalled = errors.New("the connection to the Pod stands still")

func newPatience(cancel context.CancelCauseFunc) patience {
	// The first part may need some work on the other side.
	return patience{time.AfterFunc(5*stalled, func() { cancel(errStalled) })}
}

func (p patience) stop() { p.timer.Stop() }

func (p patience) reader(of io.Reader) io.Reader { return patientReader{of, p.timer} }

type patientReader struct {
	of    io.Reader
	timer *time.Timer
}

func (p patientReader) Read(b []byte) (int, error) {
	n, err := p.of.Read(b)
	p.timer.Reset(stalled)
	return n, err
}
