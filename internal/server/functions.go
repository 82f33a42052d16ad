package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/secret"
)

// Functions are what actions and rules invoke. Errors are pipeline.Problems for
// what is wrong with a request, store.ErrNotFound and *secret.LostKeyError.
type Functions interface {
	List(ctx context.Context) ([]client.Function, error)
	Get(ctx context.Context, name string) (client.Function, error)
	// Put makes a function or changes one. Code is a zip of size bytes; nil
	// keeps the code that there is.
	Put(ctx context.Context, name string, req client.FunctionRequest, code io.ReaderAt, size int64) (client.Function, error)
	Delete(ctx context.Context, name string) error
	Invoke(ctx context.Context, name string, event json.RawMessage) (client.Invoked, error)
	// LogFile is where what a function prints is kept.
	LogFile(name string) (string, error)
}

// mostCode bounds the zip of a function, in bytes: as large as Lambda takes one
// unpacked.
const mostCode = 250 << 20

func (s *Server) functionRoutes(api huma.API) {
	huma.Get(api, "/functions", s.listFunctions)
	huma.Get(api, "/functions/{name}", s.getFunction)
	huma.Delete(api, "/functions/{name}", s.deleteFunction)
	huma.Register(api, huma.Operation{
		OperationID: "invoke-function", Method: http.MethodPost, Path: "/functions/{name}/invocations", Summary: "Give an event to a function and wait for its answer",
		MaxBodyBytes: function.MostPayload,
	}, s.invokeFunction)
	huma.Get(api, "/functions/{name}/log", s.functionLog)
}

func (s *Server) functionError(what string, err error) error {
	if wrong, ok := errors.AsType[pipeline.Problems](err); ok {
		return huma.Error422UnprocessableEntity(wrong.Error())
	}
	if lost, ok := errors.AsType[*secret.LostKeyError](err); ok {
		return huma.Error409Conflict(lost.Error())
	}
	return s.fail(what, err)
}

type functionName struct {
	Name string `path:"name" maxLength:"64"`
}

func (s *Server) listFunctions(ctx context.Context, _ *none) (*answer[[]client.Function], error) {
	found, err := s.Functions.List(ctx)
	if err != nil {
		return nil, s.functionError("list functions", err)
	}
	return &answer[[]client.Function]{found}, nil
}

func (s *Server) getFunction(ctx context.Context, in *functionName) (*answer[client.Function], error) {
	found, err := s.Functions.Get(ctx, in.Name)
	if err != nil {
		return nil, s.functionError("get function", err)
	}
	return &answer[client.Function]{found}, nil
}

func (s *Server) deleteFunction(ctx context.Context, in *functionName) (*none, error) {
	if err := s.Functions.Delete(ctx, in.Name); err != nil {
		return nil, s.functionError("delete function", err)
	}
	return nil, nil
}

func (s *Server) invokeFunction(ctx context.Context, in *struct {
	Name    string `path:"name" maxLength:"64"`
	RawBody []byte
	Body    json.RawMessage
}) (*answer[client.Invoked], error) {
	done, err := s.Functions.Invoke(ctx, in.Name, in.RawBody)
	if err != nil {
		return nil, s.functionError("invoke function", err)
	}
	return &answer[client.Invoked]{done}, nil
}

// functionLog streams what a function has printed as plain text, each line
// stamped with its time.
func (s *Server) functionLog(ctx context.Context, in *struct {
	Name   string `path:"name" maxLength:"64"`
	Offset int64  `query:"offset" minimum:"0" doc:"byte to begin with"`
	Follow bool   `query:"follow" doc:"true goes on until the client leaves"`
}) (*huma.StreamResponse, error) {
	if _, err := s.Functions.Get(ctx, in.Name); err != nil {
		return nil, s.functionError("get the log of a function", err)
	}
	path, err := s.Functions.LogFile(in.Name)
	if err != nil {
		return nil, s.functionError("get the log of a function", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hctx.SetHeader("X-Content-Type-Options", "nosniff")
		out := newPaced(hctx.BodyWriter())
		err := report.Follow(ctx, path, in.Offset, func() bool { return !in.Follow }, func(line report.Line) error {
			return out.write(asStored(line))
		})
		if err = errors.Join(err, out.close()); err != nil {
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// putFunction takes a form of two parts: function, the settings as JSON, and
// code, the zip. It is no operation of the API's description, since the code is
// too large to be held in memory.
func (s *Server) putFunction(w http.ResponseWriter, r *http.Request) {
	put, err := s.readFunction(w, r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(put); err != nil {
		s.Logger.Debug("answer put function", "error", err)
	}
}

func (s *Server) readFunction(w http.ResponseWriter, r *http.Request) (client.Function, error) {
	r.Body = http.MaxBytesReader(w, r.Body, mostCode+1<<20)
	parts, err := r.MultipartReader()
	if err != nil {
		return client.Function{}, huma.Error415UnsupportedMediaType("send a form of two parts: function, the settings as JSON, and code, a zip")
	}
	var req client.FunctionRequest
	code, err := os.CreateTemp("", "towline-function-")
	if err != nil {
		return client.Function{}, s.fail("put function", err)
	}
	defer func() {
		_ = code.Close()
		_ = os.Remove(code.Name())
	}()
	var size int64
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			switch part.FormName() {
			case "function":
				decoder := json.NewDecoder(io.LimitReader(part, 1<<20))
				decoder.DisallowUnknownFields()
				err = decoder.Decode(&req)
			case "code":
				size, err = io.Copy(code, part)
			}
		}
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return client.Function{}, huma.Error413RequestEntityTooLarge("the code is larger than a function's may be", tooLarge)
		}
		if err != nil {
			return client.Function{}, huma.Error400BadRequest("the form cannot be read: " + err.Error())
		}
	}
	var zip io.ReaderAt
	if size > 0 {
		zip = code
	}
	put, err := s.Functions.Put(r.Context(), r.PathValue("name"), req, zip, size)
	if err != nil {
		return put, s.functionError("put function", err)
	}
	return put, nil
}

// writeProblem answers as the rest of the API does.
func writeProblem(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if known, ok := errors.AsType[huma.StatusError](err); ok {
		status = known.GetStatus()
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	text, encoding := json.Marshal(err)
	if encoding != nil {
		text = []byte(`{}`)
	}
	_, _ = w.Write(text)
}
