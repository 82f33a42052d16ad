package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// The timing of what is asked.
const (
	askTimeout  = 20 * time.Second // of one request; stopping takes as long as one of the prober's own may
	again       = 250 * time.Millisecond
	silence     = 10 * time.Second // after which a stream that brings nothing is opened anew
	maxReport   = 64 << 10
	maxMarks    = 256 // that wait for their way to open again
	flushMarks  = 5 * time.Second
	statusBytes = 8 << 10
)

// Config says where the prober is. All of it is required.
type Config struct {
	URL       string // of the server there, without a path
	Transport http.RoundTripper
	Token     string
}

// Remote is a prober elsewhere, as it was heard of last. All methods are safe
// for concurrent use.
type Remote struct {
	cfg    Config
	cancel context.CancelFunc
	ended  sync.WaitGroup
	marks  chan pending

	mu    sync.Mutex
	last  Report
	heard time.Time // by the clock here
}

type pending struct {
	id, text string
	at       time.Time
	done     chan struct{} // closed when it is there; nil when nobody waits
}

// Attach asks for a report until one comes, and follows the prober from then
// on, over lost connections, until Stop or Detach. It gives up with ctx, and
// at once when the other side says no for good.
func Attach(ctx context.Context, cfg Config) (*Remote, error) {
	r := &Remote{cfg: cfg, marks: make(chan pending, maxMarks)}
	report, err := r.insist(ctx, http.MethodGet, "/report", nil)
	if err != nil {
		return nil, err
	}
	r.hear(report)
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.ended.Go(func() { r.follow(following) })
	r.ended.Go(func() { r.deliver(following) })
	return r, nil
}

// Snapshot is the verdict as it was heard last. Its marks and timeline are
// those of when it was attached to, until the final one.
func (r *Remote) Snapshot() pipeline.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last.Verdict
}

// Heard is when the last report came.
func (r *Remote) Heard() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}

// Mark puts a mark on the timeline there. It does not wait: a mark that is
// late still gets the time of this call, but its counts begin when it comes.
func (r *Remote) Mark(text string) { r.queue(pending{id: rand.Text(), text: text, at: time.Now()}) }

func (r *Remote) queue(p pending) {
	select {
	case r.marks <- p:
	default: // Nobody has answered for so many marks: the picture is lost, the counts are not.
		if p.done != nil {
			close(p.done)
		}
	}
}

// Rest lets the prober there send but one request per second until Wake; see
// probe.Prober.Rest. It asks until it is answered or ctx ends.
func (r *Remote) Rest(ctx context.Context) error { return r.tell(ctx, "/rest") }

// Wake ends a Rest.
func (r *Remote) Wake(ctx context.Context) error { return r.tell(ctx, "/wake") }

func (r *Remote) tell(ctx context.Context, path string) error {
	report, err := r.insist(ctx, http.MethodPost, path, nil)
	if err == nil {
		r.hear(report)
	}
	return err
}

// Stop ends the requests there and returns the final verdict. It asks until
// ctx ends, and then returns what was heard last and why there is no more.
func (r *Remote) Stop(ctx context.Context) (pipeline.Verdict, error) {
	r.flush(ctx)
	report, err := r.insist(ctx, http.MethodPost, "/stop", nil)
	r.Detach()
	if err != nil {
		return r.Snapshot(), err
	}
	r.hear(report)
	return report.Verdict, nil
}

// Detach leaves the prober alone. It goes on counting until somebody else
// attaches and stops it, or nobody does for too long.
func (r *Remote) Detach() {
	r.cancel()
	r.ended.Wait()
}

// flush waits a moment for the marks that are under way.
func (r *Remote) flush(ctx context.Context) {
	done := make(chan struct{})
	r.queue(pending{done: done})
	limit := time.NewTimer(flushMarks)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	case <-ctx.Done():
	}
}

func (r *Remote) hear(report Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.Final && !report.Final {
		return // an older one that came late
	}
	if report.Verdict.Marks == nil { // of the stream, which leaves them out
		report.Verdict.Marks, report.Verdict.Timeline = r.last.Verdict.Marks, r.last.Verdict.Timeline
	}
	r.last, r.heard = report, time.Now()
}

// follow keeps a stream of reports open.
func (r *Remote) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.stream(ctx)
		if isFinal(err) {
			return
		}
		pause(ctx, again)
	}
}

// errFinal ends a stream after which no other follows.
var errFinal = errors.New("the final report has come")

func isFinal(err error) bool { return errors.Is(err, errFinal) || refused(err) }

// stream hears reports until the connection is lost or silent.
func (r *Remote) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	response, err := r.send(ctx, http.MethodGet, "/follow", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	lines := json.NewDecoder(response.Body)
	for {
		var report Report
		if err := lines.Decode(&report); err != nil {
			return fmt.Errorf("follow the prober: %w", err)
		}
		quiet.Reset(silence)
		r.hear(report)
		if report.Final {
			return errFinal
		}
	}
}

// deliver sends the marks, one after the other.
func (r *Remote) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-r.marks:
			if p.done != nil {
				close(p.done)
				continue
			}
			body := func() []byte {
				text, err := json.Marshal(mark{ID: p.id, Text: p.text, AgoMs: time.Since(p.at).Milliseconds()})
				if err != nil { // of strings and a number
					return nil
				}
				return text
			}
			_, _ = r.insist(ctx, http.MethodPost, "/mark", body) // the counts do not need it
		}
	}
}

// insist asks until it is answered or refused, or ctx ends. The body is made
// anew for each attempt.
func (r *Remote) insist(ctx context.Context, method, path string, body func() []byte) (Report, error) {
	for {
		report, err := r.ask(ctx, method, path, body)
		if err == nil || refused(err) {
			return report, err
		}
		if !pause(ctx, again) {
			return Report{}, fmt.Errorf("ask the prober for %s: %w", strings.TrimPrefix(path, "/"), err)
		}
	}
}

func (r *Remote) ask(ctx context.Context, method, path string, body func() []byte) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var content []byte
	if body != nil {
		content = body()
	}
	response, err := r.send(ctx, method, path, content)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReport))
	if err != nil || response.StatusCode == http.StatusNoContent {
		return Report{}, err
	}
	return ParseReport(text)
}

// Refusal is an answer that will not change when it is asked for again.
type Refusal struct {
	Status int
	Text   string
}

// Error says what was answered.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Text) }

func refused(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok
}

func (r *Remote) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set(tokenHeader, r.cfg.Token)
	response, err := r.cfg.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, statusBytes)) // what could be read of why
	_ = response.Body.Close()
	answer := &Refusal{Status: response.StatusCode, Text: why(text)}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest:
		return nil, answer
	}
	return nil, errors.New(answer.Error()) // of the way there: it may open again
}

// why is the reason in an answer that is none of the prober's: in JSON, as
// those give it that stand on the way, it is the message.
func why(answer []byte) string {
	var reason struct{ Message string }
	if json.Unmarshal(answer, &reason) == nil && reason.Message != "" {
		return reason.Message
	}
	return strings.TrimSpace(string(answer))
}

// pause waits, and tells whether ctx is still there.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
