package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// breath is the least time between two versions of an execution on one
// connection: progress lines may change far more often than eyes can follow.
const breath = 50 * time.Millisecond

// watchExecution sends the execution as it is and after each change until it
// has ended.
func (s *Server) watchExecution(ctx context.Context, in *struct {
	ID string `path:"id"`
}, send sse.Sender) {
	changed, stop := s.Engine.Watch(in.ID)
	defer stop()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		e, err := s.Store.Execution(ctx, in.ID)
		if err != nil {
			return
		}
		if send.Data(s.show(ctx, e)) != nil || e.Done() {
			return
		}
		select {
		case <-time.After(breath):
		case <-ctx.Done():
			return
		}
	}
}

type logRequest struct {
	ID      string `path:"id"`
	Stage   string `path:"stage"`
	Attempt int    `path:"attempt" minimum:"1"`
	Action  string `path:"action"`
	Offset  int64  `query:"offset" minimum:"0" doc:"byte to begin with"`
	Follow  bool   `query:"follow" doc:"true goes on until the action has ended"`
	Grep    string `query:"grep" maxLength:"1000" doc:"only lines with this text, in capitals or not; then neither offset nor follow"`
}

// getLog streams an action's log as plain text, each line stamped with its
// time. The stage and the action are looked up in the execution before they
// become part of a file name.
func (s *Server) getLog(ctx context.Context, in *logRequest) (*huma.StreamResponse, error) {
	e, err := s.Store.Execution(ctx, in.ID)
	if err != nil {
		return nil, s.fail("get log", err)
	}
	if actionOf(e, *in) == nil {
		return nil, huma.Error404NotFound("execution " + in.ID + " has no action " + in.Stage + "/" + in.Action)
	}
	if in.Grep != "" && (in.Follow || in.Offset > 0) {
		return nil, huma.Error422UnprocessableEntity("a log that is searched cannot be followed: offsets count all of its lines")
	}
	wanted := report.Containing(in.Grep)
	path := s.Engine.LogFile(in.ID, in.Stage, in.Attempt, in.Action)
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hctx.SetHeader("X-Content-Type-Options", "nosniff")
		changed, stop := s.Engine.Watch(in.ID)
		defer stop()
		out := newPaced(hctx.BodyWriter())
		err := report.Follow(ctx, path, in.Offset, s.ended(ctx, *in, changed), func(line report.Line) error {
			if !wanted(line.Text) {
				return nil
			}
			return out.write(asStored(line))
		})
		if err = errors.Join(err, out.close()); err != nil {
			// The log is not at its end: break the connection, so that the
			// client comes back for the rest.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// ended says whether the log is at its end. The execution is looked up only
// when it may have changed: a followed log asks many times a second.
func (s *Server) ended(ctx context.Context, in logRequest, changed <-chan struct{}) func() bool {
	ask := true
	return func() bool {
		if !in.Follow {
			return true
		}
		select {
		case <-changed:
			ask = true
		default:
		}
		if !ask {
			return false
		}
		e, err := s.Store.Execution(ctx, in.ID)
		ask = err != nil // not knowing is not the end: ask again
		return err == nil && over(e, in)
	}
}

// asStored is a line byte for byte as it stands in the file, so that a reader
// who counts what came knows where to go on.
func asStored(line report.Line) string {
	if line.Time.IsZero() {
		return line.Text + "\n"
	}
	return report.Stamp(line.Time, line.Text)
}

// paced gathers small writes and passes them on every breath, so that a chatty
// log costs few system calls and a quiet one is seen at once.
type paced struct {
	mu   sync.Mutex
	out  *bufio.Writer
	down http.Flusher
	stop chan struct{}
	done chan struct{} // closed when no tick will flush any more
}

func newPaced(w io.Writer) *paced {
	p := &paced{out: bufio.NewWriterSize(w, 64<<10), stop: make(chan struct{}), done: make(chan struct{})}
	p.down, _ = w.(http.Flusher)
	go func() {
		defer close(p.done)
		tick := time.NewTicker(breath)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = p.flush() // the next write reports the error again
			case <-p.stop:
				return
			}
		}
	}()
	return p
}

func (p *paced) write(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.WriteString(text)
	return err
}

func (p *paced) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out.Buffered() == 0 {
		return nil
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	if p.down != nil {
		p.down.Flush()
	}
	return nil
}

// close passes on the rest. The writer is not touched afterwards: the HTTP
// server takes a response apart when its handler returns, and a late flush
// would crash the process.
func (p *paced) close() error {
	close(p.stop)
	<-p.done
	return p.flush()
}

func actionOf(e pipeline.Execution, in logRequest) *pipeline.ActionState {
	for _, stage := range e.Stages {
		if stage.Name != in.Stage || in.Attempt > max(stage.Attempt, 1) {
			continue
		}
		for i := range stage.Actions {
			if stage.Actions[i].Name == in.Action {
				return &stage.Actions[i]
			}
		}
	}
	return nil
}

// over reports whether nothing more will be written to the log: the action has
// ended, a later attempt has begun, or the execution ended without it.
func over(e pipeline.Execution, in logRequest) bool {
	action := actionOf(e, in)
	if action == nil || e.Done() {
		return true
	}
	for _, stage := range e.Stages {
		if stage.Name == in.Stage && stage.Attempt > in.Attempt {
			return true
		}
	}
	return action.Status == pipeline.StatusSucceeded || action.Status == pipeline.StatusFailed
}
