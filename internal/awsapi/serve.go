package awsapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/store"
)

// maxBody bounds a request, in bytes. The largest one that means anything is a
// declaration of 50 stages.
const maxBody = 1 << 20

// maxDrained is how much of a body that is too large is read all the same, so
// that its client comes to read the answer.
const maxDrained = 16 << 20

// bodyWithin is how long a client may take to send its request.
const bodyWithin = 30 * time.Second

// targetPrefix is the service and its version, as X-Amz-Target names them.
const targetPrefix = "CodePipeline_20150709."

// service is CodePipeline's name in signatures.
const service = "codepipeline"

// call is one request that has been let in.
type call struct {
	key       Key
	region    string
	account   string
	operation string
}

// arn is the name of a resource of this server, such as a pipeline's.
func (c call) arn(resource string) string {
	return fmt.Sprintf("arn:aws:codepipeline:%s:%s:%s", c.region, c.account, resource)
}

// who is who asks, as people read it.
func (c call) who() string {
	if c.key.Note == "" {
		return c.key.ID
	}
	return c.key.ID + " (" + c.key.Note + ")"
}

// user is the name of who asks.
func (c call) user() string { return fmt.Sprintf("arn:aws:iam::%s:user/%s", c.account, c.key.ID) }

// ServeHTTP answers one request of the API, or with a path value "path" one
// message to a webhook: mux.Handle("POST /hooks/aws/{path}", handler).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("path") != "" {
		h.serveWebhook(w, r)
		return
	}
	id := requestID()
	header := w.Header()
	header.Set("X-Amzn-Requestid", id)
	header.Set("Content-Type", "application/x-amz-json-1.1")
	header.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
	c, answer, err := h.answer(w, r)
	log := h.Logger.With("operation", c.operation, "access_key", c.key.ID, "request", id)
	if err == nil {
		log.Debug("answer AWS client")
		_, _ = w.Write(answer) //nolint:gosec // it is JSON by its header, which no browser shows as a page
		return
	}
	var fault *Fault
	if !errors.As(err, &fault) {
		log.Error("answer AWS client", "error", err)
		fault = internalFailure()
	}
	log.Debug("refuse AWS client", "code", fault.Code)
	h.refuse(w, fault)
}

func (h *Handler) refuse(w http.ResponseWriter, fault *Fault) {
	w.Header().Set("X-Amzn-Errortype", fault.Code)
	status := fault.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	text, err := json.Marshal(map[string]string{"__type": fault.Code, "message": fault.Message})
	if err != nil {
		h.Logger.Error("encode refusal", "error", err)
	}
	_, _ = w.Write(text)
}

// answer does what AWS does, in its order: who asks, what, may they, is it well
// formed. What it returns of the call is as much as is known.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (call, []byte, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		return call{}, nil, Faultf("UnknownOperationException", "AWS clients are answered at POST / alone, without a query.")
	}
	c, body, err := h.authenticate(w, r)
	if err != nil {
		return c, nil, err
	}
	name, known := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op, there := h.table[name]
	if !known || !there {
		return c, nil, Faultf("UnknownOperationException", "X-Amz-Target names no operation of %s (API version 2015-07-09).", service)
	}
	c.operation = name
	if !c.key.Role.Allows(op.needs) {
		return c, nil, Faultf("AccessDeniedException", "User: %s is not authorized to perform: codepipeline:%s because the access key's role is %s and this needs %s", c.user(), name, c.key.Role, op.needs)
	}
	if op.run == nil {
		return c, nil, absent(name, op.why)
	}
	request, err := parse(body)
	if err == nil {
		err = h.model.check(h.model.Operations[name].Input, request)
	}
	if err != nil {
		return c, nil, err
	}
	result, err := op.run(r.Context(), c, request)
	if err != nil {
		return c, nil, err
	}
	if op.needs != client.Viewer {
		h.Logger.Info("AWS client's request done", "operation", name, "access_key", c.key.ID)
	}
	answer, err := encode(result)
	return c, answer, err
}

// authenticate lets a request in whose signature is good, and returns its body.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) (c call, body []byte, err error) {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return c, nil, err
	}
	at, err := signingTime(r, a)
	if err != nil {
		return c, nil, err
	}
	for _, err := range []error{checkSigned(r, a), checkScope(a.scope, service, h.Region), checkTime(at, h.Now(), a.scope)} {
		if err != nil {
			return c, nil, err
		}
	}
	// No key of Towline's comes with a session.
	if r.Header.Get("X-Amz-Security-Token") != "" {
		return c, nil, unrecognized()
	}
	key, err := h.Keys.Key(r.Context(), a.keyID)
	if errors.Is(err, store.ErrNotFound) {
		return c, nil, unrecognized()
	}
	if err != nil {
		return c, nil, fmt.Errorf("open access key %s: %w", a.keyID, err)
	}
	if body, err = read(w, r); err != nil {
		return c, nil, err
	}
	if err := checkSignature(r, body, a, at, key.Secret); err != nil {
		return c, nil, err
	}
	if err := h.Keys.Used(r.Context(), key.ID); err != nil {
		h.Logger.Warn("record the use of an access key", "access_key", key.ID, "error", err)
	}
	return call{key: key, region: a.scope.region, account: h.Account}, body, nil
}

// read takes the body, and refuses one that is too large.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, &Fault{Code: "RequestTimeoutException", Status: http.StatusRequestTimeout, Message: "The request did not arrive whole."}
	}
	if len(body) > maxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
		w.Header().Set("Connection", "close")
		return nil, &Fault{Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("The request is larger than %d bytes.", maxBody)}
	}
	return body, nil
}

// requestID is a random UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// operation is one row of the table: which role it needs, and what carries it
// out, or why nothing does.
type operation struct {
	needs client.Role
	run   func(ctx context.Context, c call, request map[string]any) (any, error)
	why   string
}

// does makes a row of a method whose request is an In.
func does[In, Out any](needs client.Role, method func(ctx context.Context, c call, in *In) (*Out, error)) operation {
	return operation{needs: needs, run: func(ctx context.Context, c call, request map[string]any) (any, error) {
		in := new(In)
		if err := decode(request, in); err != nil {
			return nil, err
		}
		out, err := method(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}}
}
