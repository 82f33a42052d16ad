package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/store"
)

// What a function has when its maker says nothing, as with AWS.
const (
	defaultTimeout = 3
	defaultMemory  = 128
)

// settings are what a request says of a function. What this server has no use
// for, such as a role, is not looked at.
type settings struct {
	FunctionName string
	Description  string
	Runtime      string
	Handler      string
	Timeout      int
	MemorySize   int
	PackageType  string
	Environment  *struct{ Variables map[string]string }
	Layers       []string
	Code         code
	code         // of a request for the code alone
}

type code struct {
	ZipFile  []byte
	S3Bucket string
	ImageURI string `json:"ImageUri"`
}

// read reads the settings of a request, and refuses what they ask for in vain.
func (q *request) read() (s settings, err error) {
	if err := json.Unmarshal(q.body, &s); err != nil {
		return s, &fault{http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json."}
	}
	if len(s.Code.ZipFile) == 0 {
		s.Code.ZipFile = s.ZipFile
	}
	unfit := func(what string) error {
		return &fault{http.StatusBadRequest, "InvalidParameterValueException", what}
	}
	switch {
	case s.PackageType != "" && s.PackageType != "Zip", s.Code.ImageURI+s.ImageURI != "":
		return s, unfit("Functions are zips here, not images.")
	case s.Code.S3Bucket+s.S3Bucket != "":
		return s, unfit("Code is taken as a zip file here, not from S3: --zip-file fileb://FILE.")
	case len(s.Layers) > 0:
		return s, unfit("There are no layers here: put what they hold into the function's zip.")
	}
	return s, nil
}

func (s settings) request() client.FunctionRequest {
	req := client.FunctionRequest{Description: s.Description, Runtime: s.Runtime, Handler: s.Handler, Timeout: s.Timeout, Memory: s.MemorySize}
	if s.Environment != nil {
		req.Environment = s.Environment.Variables
		if req.Environment == nil {
			req.Environment = map[string]string{}
		}
	}
	return req
}

// configuration is a function in AWS's words. The values of its environment are
// not given back.
type configuration struct {
	FunctionName     string
	FunctionArn      string
	Description      string
	Runtime          string
	Handler          string
	Role             string
	Timeout          int
	MemorySize       int
	CodeSize         int64
	CodeSha256       string
	LastModified     string
	Version          string
	RevisionID       string `json:"RevisionId"`
	PackageType      string
	State            string
	StateReason      string `json:",omitempty"`
	LastUpdateStatus string
}

func (h *Handler) show(q *request, f client.Function) configuration {
	shown := configuration{
		FunctionName: f.Name, FunctionArn: h.arn(q, f.Name), Description: f.Description, Runtime: f.Runtime, Handler: f.Handler,
		Role:    fmt.Sprintf("arn:aws:iam::%s:role/none", h.Account),
		Timeout: f.Timeout, MemorySize: f.Memory, CodeSize: f.Size, LastModified: f.Updated.UTC().Format("2006-01-02T15:04:05.000+0000"),
		Version: "$LATEST", RevisionID: fmt.Sprintf("%08d-0000-0000-0000-000000000000", f.Revision), PackageType: "Zip", State: "Active", LastUpdateStatus: "Successful",
		StateReason: f.Problem,
	}
	if sum, err := hex.DecodeString(strings.TrimPrefix(f.Digest, "sha256:")); err == nil {
		shown.CodeSha256 = base64.StdEncoding.EncodeToString(sum)
	}
	return shown
}

func (h *Handler) list(ctx context.Context, q *request) error {
	all, err := h.Functions.List(ctx)
	if err != nil {
		return err
	}
	found := []configuration{}
	for _, f := range all {
		found = append(found, h.show(q, f))
	}
	write(q, http.StatusOK, map[string]any{"Functions": found})
	return nil
}

func (h *Handler) create(ctx context.Context, q *request) error {
	s, err := q.read()
	if err != nil {
		return err
	}
	if _, err := h.Functions.Get(ctx, s.FunctionName); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = &fault{http.StatusConflict, "ResourceConflictException", "Function already exist: " + s.FunctionName}
		}
		return err
	}
	req := s.request()
	if req.Timeout == 0 {
		req.Timeout = defaultTimeout
	}
	if req.Memory == 0 {
		req.Memory = defaultMemory
	}
	return h.put(ctx, q, s.FunctionName, req, s.Code.ZipFile, http.StatusCreated)
}

func (h *Handler) put(ctx context.Context, q *request, name string, req client.FunctionRequest, zip []byte, status int) error {
	var f client.Function
	var err error
	if len(zip) > 0 {
		f, err = h.Functions.Put(ctx, name, req, bytes.NewReader(zip), int64(len(zip)))
	} else {
		f, err = h.Functions.Put(ctx, name, req, nil, 0)
	}
	if err != nil {
		return err
	}
	h.Logger.Info("Lambda client's request done", "function", name, "revision", f.Revision)
	write(q, status, h.show(q, f))
	return nil
}

// known finds the function of the path.
func (h *Handler) known(ctx context.Context, q *request) (client.Function, error) {
	return h.Functions.Get(ctx, q.r.PathValue("name"))
}

func (h *Handler) get(ctx context.Context, q *request) error {
	f, err := h.known(ctx, q)
	if err != nil {
		return err
	}
	write(q, http.StatusOK, map[string]any{"Configuration": h.show(q, f)})
	return nil
}

func (h *Handler) configuration(ctx context.Context, q *request) error {
	f, err := h.known(ctx, q)
	if err != nil {
		return err
	}
	write(q, http.StatusOK, h.show(q, f))
	return nil
}

func (h *Handler) configure(ctx context.Context, q *request) error {
	s, err := q.read()
	if err != nil {
		return err
	}
	f, err := h.known(ctx, q)
	if err != nil {
		return err
	}
	return h.put(ctx, q, f.Name, s.request(), nil, http.StatusOK)
}

func (h *Handler) updateCode(ctx context.Context, q *request) error {
	s, err := q.read()
	if err != nil {
		return err
	}
	f, err := h.known(ctx, q)
	if err != nil {
		return err
	}
	if len(s.ZipFile) == 0 {
		return &fault{http.StatusBadRequest, "InvalidParameterValueException", "The request has no zip file."}
	}
	return h.put(ctx, q, f.Name, client.FunctionRequest{}, s.ZipFile, http.StatusOK)
}

func (h *Handler) remove(ctx context.Context, q *request) error {
	if err := h.Functions.Delete(ctx, q.r.PathValue("name")); err != nil {
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}

// invoke gives an event to a function and waits for the answer.
func (h *Handler) invoke(ctx context.Context, q *request) error {
	f, err := h.known(ctx, q)
	if err != nil {
		return err
	}
	switch kind := q.r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
	case "DryRun":
		q.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return &fault{http.StatusBadRequest, "InvalidParameterValueException", "Invocations of the type " + kind + " are made here by pipelines alone: use RequestResponse."}
	}
	event := json.RawMessage(q.body)
	if len(event) == 0 {
		event = json.RawMessage("{}")
	}
	if !json.Valid(event) {
		return &fault{http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json."}
	}
	done, err := h.Functions.Invoke(ctx, f.Name, event)
	if err != nil {
		return err
	}
	header := q.Header()
	header.Set("X-Amzn-Requestid", done.RequestID)
	header.Set("X-Amz-Executed-Version", "$LATEST")
	header.Set("Content-Type", "application/json")
	if done.Error != "" {
		header.Set("X-Amz-Function-Error", "Unhandled")
	}
	if q.r.Header.Get("X-Amz-Log-Type") == "Tail" {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(tail(done.Log))))
	}
	_, _ = q.Write(done.Payload)
	return nil
}

// mostTail is how much of a log an answer has, in bytes.
const mostTail = 4 << 10

func tail(lines []string) string {
	text := strings.Join(lines, "\n") + "\n"
	return text[max(0, len(text)-mostTail):]
}
