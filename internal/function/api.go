package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// runtimePath is where the Runtime API begins.
const runtimePath = "/2018-06-01/runtime/"

// runtimeAPI is the Lambda Runtime API for one invocation. Its function asks it
// for the event, and tells it the answer or an error.
type runtimeAPI struct {
	id      string
	arn     string
	event   []byte
	timeout time.Duration
	// mayAsk tells whether a connection is the function's own. The API listens
	// where every process of the machine can reach it, and gives credentials
	// away.
	mayAsk func(net.Conn) bool

	once   sync.Once
	taken  chan struct{} // closed when the event has been given
	answer chan Outcome  // what the function has told, once
	idle   chan struct{} // closed when the function asks for another event
	rest   sync.Once
	told   sync.Once
}

func newRuntimeAPI(in Invocation, arn string, mayAsk func(net.Conn) bool) *runtimeAPI {
	return &runtimeAPI{
		id: in.ID, arn: arn, event: in.Event, timeout: in.Function.Timeout, mayAsk: mayAsk,
		taken: make(chan struct{}), answer: make(chan Outcome, 1), idle: make(chan struct{}),
	}
}

// peerKey is under which a connection's context knows whose it is.
type peerKey struct{}

// serve answers on a port of this machine until stop is called, and returns its
// address.
func (a *runtimeAPI) serve() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve the Runtime API: %w", err)
	}
	server := &http.Server{
		Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, a.mayAsk(conn))
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	return listener.Addr().String(), func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}

func (a *runtimeAPI) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimePath+"invocation/next", a.next)
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+runtimePath+"init/error", a.failure)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mine, _ := r.Context().Value(peerKey{}).(bool); !mine {
			refuse(w, http.StatusForbidden, "Forbidden", "this is the Runtime API of another user's function")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// next gives the event, once. Who asks again has nothing left to do and is kept
// waiting, as by Lambda, which freezes it then.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	first := false
	a.once.Do(func() { first = true })
	if !first {
		a.rest.Do(func() { close(a.idle) })
		<-r.Context().Done()
		return
	}
	deadline := time.Now().Add(a.timeout)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Lambda-Runtime-Aws-Request-Id", a.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", a.arn)
	header.Set("Content-Length", strconv.Itoa(len(a.event)))
	close(a.taken)
	_, _ = w.Write(a.event)
}

// response takes the handler's answer. One that is streamed may end with an
// error in its trailers.
func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	if !a.isMine(w, r) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MostPayload+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the answer did not arrive whole")
		return
	case len(body) > MostPayload:
		a.tell(Outcome{Error: &Error{Type: ErrorTooLarge, Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MostPayload)}})
		refuse(w, http.StatusRequestEntityTooLarge, ErrorTooLarge, "Exceeded maximum allowed payload size.")
		return
	}
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		a.tell(Outcome{Error: &Error{Type: kind, Message: "the function failed while it streamed its answer", Handled: true}})
	} else {
		a.tell(Outcome{Payload: payload(body)})
	}
	accept(w)
}

// payload keeps an answer that is no JSON as a text of it.
func payload(body []byte) json.RawMessage {
	switch {
	case len(body) == 0:
		return json.RawMessage("null")
	case json.Valid(body):
		return body
	}
	text, err := json.Marshal(string(body))
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// failure takes the error of a handler, or of a function that cannot begin.
func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != "" && !a.isMine(w, r) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MostPayload))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the error did not arrive whole")
		return
	}
	told := &Error{Handled: true}
	if json.Unmarshal(body, told) != nil {
		told.Message = string(body[:min(len(body), 4<<10)])
	}
	if told.Type == "" {
		told.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	if told.Type == "" {
		told.Type = "Unknown"
	}
	a.tell(Outcome{Error: told})
	accept(w)
}

// isMine refuses what is about another invocation.
func (a *runtimeAPI) isMine(w http.ResponseWriter, r *http.Request) bool {
	if r.PathValue("id") == a.id {
		return true
	}
	refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	return false
}

// tell keeps the first that the function says.
func (a *runtimeAPI) tell(o Outcome) { a.told.Do(func() { a.answer <- o }) }

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	text, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

var errNoPort = errors.New("the connection has no port")

// portsOf are the ports of a connection: the other side's, and this side's.
func portsOf(conn net.Conn) (theirs, ours int, err error) {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	local, also := conn.LocalAddr().(*net.TCPAddr)
	if !ok || !also {
		return 0, 0, errNoPort
	}
	return remote.Port, local.Port, nil
}
