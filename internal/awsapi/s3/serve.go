package s3

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/client"
)

// idle is how long a client may send or read nothing in the middle of a request.
const idle = time.Minute

// maxDocument bounds the XML of a request, in bytes: 10,000 parts with their
// checksums.
const maxDocument = 4 << 20

// request is one that has been let in.
type request struct {
	http.ResponseWriter
	r *http.Request

	verified sigv4.Verified
	digest   string // of the body, as the signature has it
	bucket   string
	key      string
	query    url.Values
}

// place is the object that is asked for.
func (q *request) place() access.Object { return access.Object{Bucket: q.bucket, Key: q.key} }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()[:16]
	w.Header().Set("X-Amz-Request-Id", id)
	w.Header().Set("Server", "AmazonS3")
	// Whoever stops the server does not wait for a client that reads slowly.
	stop := context.AfterFunc(r.Context(), func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
	})
	defer stop()
	q := &request{ResponseWriter: w, r: r}
	op, err := h.letIn(q)
	log := h.Logger.With("operation", op.name, "bucket", q.bucket, "key", q.key, "access_key", q.verified.Key.ID, "request", id)
	if err == nil {
		err = op.run(r.Context(), q)
	}
	if err == nil {
		log.Debug("answer S3 client")
		if op.needs != client.Viewer {
			log.Info("S3 client's request done")
		}
		return
	}
	fault, known := faultOf(err)
	if !known && r.Context().Err() == nil {
		log.Error("answer S3 client", "error", err)
	}
	log.Debug("refuse S3 client", "code", fault.Code)
	h.refuse(q, fault, id)
}

func (h *Handler) refuse(q *request, fault *Fault, id string) {
	// A body that is not read to its end would be taken for the next request.
	if q.r.ContentLength != 0 {
		q.Header().Set("Connection", "close")
	}
	q.Header().Del("Content-Length")
	if q.r.Method == http.MethodHead || fault.Status == http.StatusNotModified {
		q.WriteHeader(fault.Status)
		return
	}
	answer(q, fault.Status, errorBody{Code: fault.Code, Message: fault.Message, Resource: q.r.URL.Path, RequestID: id})
}

// asked is a header of the request.
func (q *request) asked(name string) string { return q.r.Header.Get(name) }

// answer writes an XML document.
func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(document)
}

// letIn finds out who asks for what, and whether they may.
func (h *Handler) letIn(q *request) (op operation, err error) {
	if sigv4.Service(q.r) != service {
		return op, faultf(http.StatusBadRequest, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256: `aws configure set default.s3.signature_version s3v4`.")
	}
	q.verified, err = h.verifier.Verify(q.r, service, func() (string, error) {
		q.digest = q.asked("X-Amz-Content-Sha256")
		switch {
		case q.digest != "":
		case q.verifiedInQuery():
			q.digest = sigv4.UnsignedPayload
		default:
			return "", faultf(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
		}
		return q.digest, nil
	})
	if err != nil {
		return op, err
	}
	q.query = q.r.URL.Query()
	if q.bucket, q.key, err = h.where(q.r); err != nil {
		return op, err
	}
	if op, err = h.operation(q); err != nil {
		return op, err
	}
	return op, h.may(q, op)
}

func (q *request) verifiedInQuery() bool { return q.asked("Authorization") == "" }

// may is a Fault for who may not do this.
func (h *Handler) may(q *request, op operation) error {
	key := q.verified.Key
	if s := key.Session; s != nil {
		switch {
		case op.of != anObject:
			return denied("the session is for single objects.")
		case op.needs == client.Viewer && !s.Scope.MayRead(q.place()), op.needs != client.Viewer && !s.Scope.MayWrite(q.place()):
			return denied("the session is for other objects.")
		}
		return nil
	}
	if !key.Role.Allows(op.needs) {
		return denied("the access key's role is " + string(key.Role) + " and " + op.name + " needs " + string(op.needs) + ".")
	}
	if q.bucket == artifactBucket && op.needs != client.Viewer {
		return denied("the artifacts of executions are written by who works on a job.")
	}
	return nil
}

// body reads the body as it was signed. A client that stops sending is given up.
func (q *request) body() (*sigv4.Body, error) {
	return q.verified.Body(&patient{in: q.r.Body, control: http.NewResponseController(q.ResponseWriter)}, q.digest)
}

// patient moves the deadline on with each read.
type patient struct {
	in      io.Reader
	control *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(idle))
	return p.in.Read(b)
}

// document reads an XML document of the request's.
func (q *request) document(into any) error {
	body, err := q.body()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(text) > maxDocument {
		return faultf(http.StatusBadRequest, "MaxMessageLengthExceeded", "Your request was too big")
	}
	if len(text) == 0 {
		return errNoDocument
	}
	if xml.Unmarshal(text, into) != nil {
		return malformed()
	}
	return nil
}

// errNoDocument is an empty body.
var errNoDocument = errors.New("the request has no document")

func malformed() *Fault {
	return faultf(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}
