// Package lambda answers AWS's clients of Lambda: the part of its API that keeps
// functions and invokes them. Its noun is the request for a function. It stands
// beside the other AWS APIs, before the functions of this server, whose settings
// it puts into AWS's words. How functions run, and what invokes them in
// pipelines, it does not know.
package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Path is where the API begins.
const Path = "/2015-03-31/functions"

// Functions are those of this server. Errors are pipeline.Problems for what is
// wrong with a request, and store.ErrNotFound.
type Functions interface {
	List(ctx context.Context) ([]client.Function, error)
	Get(ctx context.Context, name string) (client.Function, error)
	Put(ctx context.Context, name string, req client.FunctionRequest, code io.ReaderAt, size int64) (client.Function, error)
	Delete(ctx context.Context, name string) error
	Invoke(ctx context.Context, name string, event json.RawMessage) (client.Invoked, error)
}

// Config is what a Handler needs.
type Config struct {
	Keys      access.Keys
	Functions Functions
	Account   string // in names of resources: 12 digits
	Now       func() time.Time
	Logger    *slog.Logger
}

// Handler answers requests of Lambda's clients. It is safe for concurrent use.
type Handler struct {
	Config
	verifier sigv4.Verifier
	mux      *http.ServeMux
}

var _ http.Handler = (*Handler)(nil)

// New makes a Handler.
func New(config Config) *Handler {
	h := &Handler{Config: config, mux: http.NewServeMux(), verifier: sigv4.Verifier{Keys: config.Keys, Now: config.Now, Logger: config.Logger}}
	for _, route := range []struct {
		pattern string
		needs   client.Role
		run     func(ctx context.Context, q *request) error
	}{
		{"GET " + Path, client.Viewer, h.list},
		{"GET " + Path + "/{$}", client.Viewer, h.list},
		{"POST " + Path, client.Admin, h.create},
		{"GET " + Path + "/{name}", client.Viewer, h.get},
		{"GET " + Path + "/{name}/configuration", client.Viewer, h.configuration},
		{"PUT " + Path + "/{name}/configuration", client.Admin, h.configure},
		{"PUT " + Path + "/{name}/code", client.Admin, h.updateCode},
		{"DELETE " + Path + "/{name}", client.Admin, h.remove},
		{"POST " + Path + "/{name}/invocations", client.Operator, h.invoke},
	} {
		h.mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, route.needs, route.run) })
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &fault{http.StatusNotFound, "UnknownOperationException", "This server has no such operation of Lambda: it keeps functions and invokes them."})
	})
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// service is Lambda's name in signatures.
const service = "lambda"

// mostBody bounds a request, in bytes: the zip that Lambda takes in one, as it
// is written in JSON, and some more.
const mostBody = 80 << 20

// request is one that has been let in.
type request struct {
	http.ResponseWriter
	r      *http.Request
	body   []byte
	region string
}

// fault is an error in AWS's form.
type fault struct {
	status  int
	code    string
	message string
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, needs client.Role, run func(context.Context, *request) error) {
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	q := &request{ResponseWriter: w, r: r}
	err := h.letIn(q, needs)
	if err == nil {
		err = run(r.Context(), q)
	}
	if err != nil {
		h.fail(q, err)
	}
}

// letIn finds out who asks, and whether they may.
func (h *Handler) letIn(q *request, needs client.Role) error {
	known, err := h.verifier.Verify(q.r, service, func() (string, error) {
		var err error
		if q.body, err = io.ReadAll(io.LimitReader(q.r.Body, mostBody+1)); err != nil {
			return "", &fault{http.StatusRequestTimeout, "RequestTimeoutException", "The request did not arrive whole."}
		}
		if len(q.body) > mostBody {
			return "", &fault{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request is too large: give the code with `towline function put`."}
		}
		sum := sha256.Sum256(q.body)
		return hex.EncodeToString(sum[:]), nil
	})
	if err != nil {
		return err
	}
	q.region = known.Signature.Scope.Region
	if known.Key.Session != nil || !known.Key.Role.Allows(needs) {
		return &fault{http.StatusForbidden, "AccessDeniedException", fmt.Sprintf("The access key %s may not do this, which needs the role %s.", known.Key.ID, needs)}
	}
	return nil
}

// fail answers with an error, in AWS's words where it is known.
func (h *Handler) fail(q *request, err error) {
	var known *fault
	signature, unsigned := errors.AsType[*sigv4.Error](err)
	problems, wrong := errors.AsType[pipeline.Problems](err)
	switch {
	case errors.As(err, &known):
	case unsigned:
		known = &fault{http.StatusForbidden, "InvalidSignatureException", signature.Message}
	case wrong:
		known = &fault{http.StatusBadRequest, "InvalidParameterValueException", problems.Error()}
	case errors.Is(err, store.ErrNotFound):
		known = &fault{http.StatusNotFound, "ResourceNotFoundException", "Function not found: " + h.arn(q, q.r.PathValue("name"))}
	default:
		h.Logger.Error("answer Lambda client", "error", err)
		known = &fault{http.StatusInternalServerError, "ServiceException", "The server could not do this; its log says why."}
	}
	refuse(q, known)
}

func refuse(w http.ResponseWriter, f *fault) {
	w.Header().Set("X-Amzn-Errortype", f.code)
	kind := "User"
	if f.status >= http.StatusInternalServerError {
		kind = "Service"
	}
	// A body that is not read to its end would be taken for the next request.
	w.Header().Set("Connection", "close")
	write(w, f.status, map[string]string{"Type": kind, "Message": f.message})
}

// write answers with a document.
func write(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) //nolint:errchkjson // documents are texts and numbers; the client has gone when this fails
}

func (h *Handler) arn(q *request, name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", q.region, h.Account, name)
}
