package kubectl

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/kube"
)

// fault makes of what kubectl says when it fails the error that client-go
// returns for the same answer of the API server: kubectl keeps no more of that
// than its text. Text that is not understood stays an error of its own.
func fault(ref kube.Ref, said string) error {
	if match := fromServer.FindStringSubmatch(said); match != nil {
		return status(metav1.StatusReason(match[1]), withoutSource(match[2]))
	}
	text := strings.TrimPrefix(said, "error: ")
	switch {
	case strings.HasPrefix(text, "Apply failed with "):
		return applyConflict(text)
	case strings.HasPrefix(text, "Operation cannot be fulfilled on "):
		return status(metav1.StatusReasonConflict, firstLine(text))
	case strings.HasPrefix(text, "You must be logged in to the server"), strings.Contains(text, "the server has asked for the client to provide credentials"):
		return status(metav1.StatusReasonUnauthorized, text)
	case invalid.MatchString(text):
		return status(metav1.StatusReasonInvalid, text)
	case strings.Contains(text, "no matches for kind "), strings.HasPrefix(text, "the server doesn't have a resource type "):
		return &kube.UnknownKindError{GVK: ref.GVK()}
	}
	for _, sign := range disconnected {
		if strings.Contains(text, sign.text) {
			return &unreachable{text: text, cause: sign.means}
		}
	}
	return errors.New(text)
}

var (
	// fromServer is "Error from server (REASON): MESSAGE", or the same without
	// a reason, as for a field that the schema does not have.
	fromServer = regexp.MustCompile(`(?s)^Error from server(?: \((\w+)\))?: (.*)$`)
	invalid    = regexp.MustCompile(`^The (?:request|\S+ ".*") is invalid`)
	source     = regexp.MustCompile(`^error when [\w-]+ "[^"\n]*": `)
)

// withoutSource is the API server's message without the file that kubectl read,
// which is its standard input.
func withoutSource(message string) string {
	return message[len(source.FindString(message)):]
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// codes are the HTTP statuses that go with a reason, where 500 does not.
var codes = map[metav1.StatusReason]int32{
	metav1.StatusReasonUnauthorized:          http.StatusUnauthorized,
	metav1.StatusReasonForbidden:             http.StatusForbidden,
	metav1.StatusReasonNotFound:              http.StatusNotFound,
	metav1.StatusReasonAlreadyExists:         http.StatusConflict,
	metav1.StatusReasonConflict:              http.StatusConflict,
	metav1.StatusReasonGone:                  http.StatusGone,
	metav1.StatusReasonExpired:               http.StatusGone,
	metav1.StatusReasonInvalid:               http.StatusUnprocessableEntity,
	metav1.StatusReasonBadRequest:            http.StatusBadRequest,
	metav1.StatusReasonMethodNotAllowed:      http.StatusMethodNotAllowed,
	metav1.StatusReasonNotAcceptable:         http.StatusNotAcceptable,
	metav1.StatusReasonUnsupportedMediaType:  http.StatusUnsupportedMediaType,
	metav1.StatusReasonRequestEntityTooLarge: http.StatusRequestEntityTooLarge,
	metav1.StatusReasonTooManyRequests:       http.StatusTooManyRequests,
	metav1.StatusReasonServiceUnavailable:    http.StatusServiceUnavailable,
	metav1.StatusReasonTimeout:               http.StatusGatewayTimeout,
}

func status(reason metav1.StatusReason, message string, causes ...metav1.StatusCause) error {
	code, ok := codes[reason]
	if !ok {
		code = http.StatusInternalServerError
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Reason: reason, Code: code, Message: message, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

// advice is where kubectl's own words to a person begin.
const advice = "\nPlease review the fields above"

// applyConflict reads which fields belong to whom. The API server writes
//
//	Apply failed with 1 conflict: conflict with "a" using v1: .data.x
//
// for one field, and for several
//
//	Apply failed with 2 conflicts: conflicts with "a" using v1 at 2026-01-02T03:04:05Z:
//	- .data.x
//	- .data.y
func applyConflict(text string) error {
	text, _, _ = strings.Cut(text, advice)
	var causes []metav1.StatusCause
	cause := func(owner, field string) {
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: owner, Field: field})
	}
	_, list, _ := strings.Cut(text, ": ")
	owner := ""
	for line := range strings.SplitSeq(list, "\n") {
		switch field, isField := strings.CutPrefix(line, "- "); {
		case isField:
			cause(owner, field)
		case strings.HasPrefix(line, "conflict with "):
			cut := endOfOwner(line)
			cause(line[:cut], strings.TrimPrefix(line[cut:], ": "))
		case strings.HasPrefix(line, "conflicts with "):
			owner = strings.TrimSuffix(line, ":")
		}
	}
	if len(causes) == 0 { // It must not be taken for a stale object, which is read and written again.
		cause(text, "some fields")
	}
	return status(metav1.StatusReasonConflict, text, causes...)
}

// endOfOwner is where a line's field begins, with the ": " before it. A time
// among the words before has colons without a space, and so may the manager's
// name have, but not behind the last of its quotes.
func endOfOwner(line string) int {
	quotes := ownerName.FindStringIndex(line)
	if quotes == nil {
		return len(line)
	}
	if i := strings.Index(line[quotes[1]:], ": "); i >= 0 {
		return quotes[1] + i
	}
	return len(line)
}

// ownerName is a quoted name with, perhaps, a subresource.
var ownerName = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(?: with subresource "(?:[^"\\]|\\.)*")?`)

// unreachable is a request that brought no answer.
type unreachable struct {
	text  string
	cause error // what client-go would have returned
}

func (u *unreachable) Error() string { return u.text }

func (u *unreachable) Unwrap() error { return u.cause }

// disconnected are the words for errors on the way to the API server, the ones
// that are over in a moment. They also stand within other messages of kubectl,
// which asks the server for its kinds and schemas first.
var disconnected = []struct {
	text  string
	means error
}{
	{"was refused - did you specify the right host or port?", syscall.ECONNREFUSED},
	{"connection refused", syscall.ECONNREFUSED},
	{"connection reset by peer", syscall.ECONNRESET},
	{"i/o timeout", syscall.ECONNRESET},
	{"TLS handshake timeout", syscall.ECONNRESET},
	{"client connection lost", syscall.ECONNRESET},
	{"unexpected EOF", syscall.ECONNRESET},
	{": EOF", syscall.ECONNRESET},
	{"the server is currently unable to handle the request", status(metav1.StatusReasonServiceUnavailable, "service unavailable")},
}
