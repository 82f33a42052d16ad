// Package wire speaks the JSON 1.1 protocol of AWS's services. Its noun is the
// Call, one signed request of an operation: it is let in, its role is compared,
// its form is checked against the API's model, it is handed to the operation,
// and what that answers is written in AWS's form. Each API brings its model and
// its table of operations; what these do, this room does not know.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/client"
)

// maxBody bounds a request, in bytes. The largest one that means anything is a
// declaration of 50 stages.
const maxBody = 1 << 20

// maxDrained is how much of a body that is too large is read all the same, so
// that its client comes to read the answer.
const maxDrained = 16 << 20

// bodyWithin is how long a client may take to send its request.
const bodyWithin = 30 * time.Second

// Config is what a Handler needs.
type Config struct {
	Keys access.Keys
	// Region is the only one that signatures may name, such as eu-west-1. When
	// it is "" they may name any, and names of resources carry the same.
	Region string
	// Account stands in the names of resources: 12 digits.
	Account string
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handler answers the requests of several APIs at POST /. It is safe for
// concurrent use.
type Handler struct {
	Config
	apis []API
}

var _ http.Handler = (*Handler)(nil)

// New makes a Handler of one API or more, which X-Amz-Target chooses from.
func New(config Config, apis ...API) *Handler { return &Handler{Config: config, apis: apis} }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	header := w.Header()
	header.Set("X-Amzn-Requestid", id)
	header.Set("Content-Type", "application/x-amz-json-1.1")
	header.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
	c, answer, err := h.answer(w, r)
	log := h.Logger.With("service", c.Service, "operation", c.Operation, "access_key", c.Key.ID, "request", id)
	if err == nil && answer.stream != nil {
		log.Debug("stream to AWS client")
		if err := h.stream(w, r, answer.stream); err != nil && r.Context().Err() == nil {
			log.Error("stream to AWS client", "error", err)
		}
		return
	}
	if err == nil {
		log.Debug("answer AWS client")
		_, _ = w.Write(answer.text) // It is JSON by its header, which no browser shows as a page
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

// api is the one that a request is for, and the operation's name. When the
// target names none, it is the one that the signature names, else the first.
func (h *Handler) api(r *http.Request) (api API, operation string) {
	target, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	api = h.apis[0]
	for _, a := range h.apis {
		if a.Target == target {
			return a, name
		}
		if a.Name == sigv4.Service(r) {
			api = a
		}
	}
	return api, ""
}

// answer does what AWS does, in its order: who asks, what, may they, is it well
// formed. What it returns of the call is as much as is known.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (Call, reply, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		return Call{}, reply{}, Faultf("UnknownOperationException", "AWS clients are answered at POST / alone, without a query.")
	}
	api, name := h.api(r)
	c, body, err := h.authenticate(w, r, api.Name)
	if err != nil {
		return c, reply{}, err
	}
	op, there := api.Operations[name]
	if !there {
		return c, reply{}, Faultf("UnknownOperationException", "X-Amz-Target names no operation of %s (API version %s).", api.Name, api.Version)
	}
	c.Operation = name
	if err := c.mayAsk(op); err != nil {
		return c, reply{}, err
	}
	if op.Run == nil && op.Stream == nil {
		return c, reply{}, absent(name, op.Why)
	}
	request, err := Parse(body)
	if err == nil {
		err = api.Model.Check(api.Model.Operations[name].Input, request)
	}
	if err != nil {
		return c, reply{}, err
	}
	if op.Stream != nil {
		stream, err := op.Stream(r.Context(), c, request)
		return c, reply{stream: stream}, err
	}
	result, err := op.Run(r.Context(), c, request)
	if err != nil {
		return c, reply{}, err
	}
	if op.Needs != client.Viewer {
		h.Logger.Info("AWS client's request done", "service", api.Name, "operation", name, "access_key", c.Key.ID)
	}
	answer, err := Encode(result)
	return c, reply{text: answer}, err
}

// reply is what a request is answered with: a text, or a stream.
type reply struct {
	text   []byte
	stream Stream
}

// authenticate lets a request in whose signature is good, and returns its body,
// whose digest is ours, so that a body which was changed is found out.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request, service string) (c Call, body []byte, err error) {
	verifier := sigv4.Verifier{Keys: h.Keys, Region: h.Region, Now: h.Now, Logger: h.Logger}
	known, err := verifier.Verify(r, service, func() (string, error) {
		body, err = read(w, r)
		return sigv4.Digest(body), err
	})
	if err != nil {
		return c, nil, notLetIn(err)
	}
	return Call{Key: known.Key, Service: service, Region: known.Signature.Scope.Region, Account: h.Account}, body, nil
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
