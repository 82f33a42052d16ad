package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"syscall"

	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/store"
)

// Fault is an error as S3's clients know it.
type Fault struct {
	Code    string
	Message string
	Status  int
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func faultf(status int, code, format string, args ...any) *Fault {
	return &Fault{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

// The faults that are made in more than one place.
func noKey() *Fault {
	return faultf(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
}

func noBucket() *Fault {
	return faultf(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
}

func noUpload() *Fault {
	return faultf(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

func denied(why string) *Fault {
	return faultf(http.StatusForbidden, "AccessDenied", "Access Denied: %s", why)
}

func invalid(format string, args ...any) *Fault {
	return faultf(http.StatusBadRequest, "InvalidArgument", format, args...)
}

func incomplete() *Fault {
	return faultf(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

func notThere(operation string) *Fault {
	return faultf(http.StatusNotImplemented, "NotImplemented", "A header or query you provided implies functionality that is not implemented: Towline has no %s.", operation)
}

// faultOf is what the error tells a client: as a Fault, or as nothing but a
// failure that the log has the cause of.
func faultOf(err error) (f *Fault, known bool) {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f, true
	}
	if refused, ok := errors.AsType[*sigv4.Error](err); ok {
		return notLetIn(refused), true
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return noKey(), true
	case errors.Is(err, io.ErrUnexpectedEOF):
		return incomplete(), true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return faultf(http.StatusInsufficientStorage, "InsufficientStorage", "There is no space left for objects on this server."), false
	}
	return faultf(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."), false
}

// notLetIn tells why a signature is not good in S3's words.
func notLetIn(e *sigv4.Error) *Fault {
	status, code := http.StatusForbidden, "SignatureDoesNotMatch"
	switch e.Kind {
	case sigv4.Missing, sigv4.Unsigned, sigv4.Expired:
		code = "AccessDenied"
	case sigv4.Malformed, sigv4.WrongScope:
		status, code = http.StatusBadRequest, "AuthorizationHeaderMalformed"
	case sigv4.Skewed:
		code = "RequestTimeTooSkewed"
	case sigv4.UnknownKey:
		code = "InvalidAccessKeyId"
	case sigv4.BadToken:
		status, code = http.StatusBadRequest, "InvalidToken"
	case sigv4.OldToken:
		status, code = http.StatusBadRequest, "ExpiredToken"
	case sigv4.BadPayload:
		status, code = http.StatusBadRequest, "XAmzContentSHA256Mismatch"
	case sigv4.Incomplete:
		status, code = http.StatusBadRequest, "IncompleteBody"
	}
	message := e.Message
	if e.Kind == sigv4.UnknownKey {
		message = "The AWS Access Key Id you provided does not exist in our records."
	}
	return &Fault{Code: code, Message: message, Status: status}
}

// errorBody is a Fault on the wire.
type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}
