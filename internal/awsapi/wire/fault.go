package wire

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/towline/towline/internal/awsapi/sigv4"
)

// Fault is an error as AWS's clients know it: Code is the name of the
// exception, by which they choose a type, and Message is what they show. Status
// 0 means 400, which nearly all of AWS's have.
type Fault struct {
	Code    string
	Message string
	Status  int
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Faultf makes a Fault of status 400.
func Faultf(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// internalFailure is all that a client learns of an error that is not its own:
// the rest is in the log, under the request's id.
func internalFailure() *Fault {
	return &Fault{
		Code: "InternalFailure", Status: http.StatusInternalServerError,
		Message: "The request processing has failed because of an unknown error, exception or failure. The server's log has the cause under this request's id.",
	}
}

// absent says that an operation is known and not there. It is no exception of
// the API's model, so that no client takes it for an answer of a pipeline.
func absent(operation, why string) *Fault {
	return Faultf("OperationNotImplementedException", "Towline does not implement %s: %s", operation, why)
}

// notLetIn tells why a signature is not good in the words of JSON APIs. Other
// errors stay as they are.
func notLetIn(err error) error {
	refused, ok := errors.AsType[*sigv4.Error](err)
	if !ok {
		return err
	}
	code := "InvalidSignatureException"
	switch refused.Kind {
	case sigv4.Missing:
		code = "MissingAuthenticationTokenException"
	case sigv4.Malformed, sigv4.Incomplete:
		code = "IncompleteSignatureException"
	case sigv4.UnknownKey, sigv4.BadToken:
		code = "UnrecognizedClientException"
	case sigv4.OldToken:
		code = "ExpiredTokenException"
	}
	return &Fault{Code: code, Message: refused.Message}
}
