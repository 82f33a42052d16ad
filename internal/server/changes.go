package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/towline/towline/internal/client"
)

// changePace is the least time between two changes that a page is told of, and
// changeQuiet the longest that a page hears nothing: a connection whose other
// side has gone is found out by writing to it.
const (
	changePace  = 200 * time.Millisecond
	changeQuiet = 30 * time.Second
)

// changeRoutes tell pages that something has changed, and leave it to them to
// ask what.
func (s *Server) changeRoutes(group huma.API) {
	sse.Register(group, huma.Operation{
		OperationID: "execution-changes", Method: http.MethodGet, Path: "/executions/{id}/changes", Summary: "Hear of changes of an execution",
		Description: "The first event comes at once. The events go on after the execution's end, for a retry begins it anew.",
	}, changeEvents(), s.executionChanges)
}

func changeEvents() map[string]any {
	return map[string]any{"changed": client.Changed{}, "quiet": client.Quiet{}}
}

func (s *Server) executionChanges(ctx context.Context, in *struct {
	ID string `path:"id"`
}, send sse.Sender) {
	changed, stop := s.Engine.Watch(in.ID)
	defer stop()
	tell(ctx, changed, send)
}

// tell sends an event for what has changed, at a bounded pace, until ctx ends or
// nobody listens any more.
func tell(ctx context.Context, changed <-chan struct{}, send sse.Sender) {
	quiet := time.NewTicker(changeQuiet)
	defer quiet.Stop()
	for {
		var err error
		select {
		case <-changed:
			err = send.Data(client.Changed{At: time.Now().UTC()})
		case <-quiet.C:
			err = send.Data(client.Quiet{At: time.Now().UTC()})
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case <-time.After(changePace):
		case <-ctx.Done():
			return
		}
	}
}
