package wire

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

// Stream sends the events of an answer, one after the other, until ctx ends or
// there are no more. A Fault that it returns is the last that its client reads.
type Stream func(ctx context.Context, send Send) error

// Send sends an event: its name among the members of the answer's stream, and a
// value as Encode takes it. The error says that the client is gone.
type Send func(event string, value any) error

// stream answers a request by an event stream, in AWS's binary form.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, run Stream) error {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	control := http.NewResponseController(w)
	// What the client had to send in time has been read.
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	encoder := eventstream.NewEncoder()
	message := func(kind, kindHeader, name string, value any) error {
		text, err := Encode(value)
		if err != nil {
			return err
		}
		m := eventstream.Message{Payload: text}
		m.Headers.Set(eventstreamapi.MessageTypeHeader, eventstream.StringValue(kind))
		m.Headers.Set(kindHeader, eventstream.StringValue(name))
		m.Headers.Set(eventstreamapi.ContentTypeHeader, eventstream.StringValue("application/json"))
		if err := encoder.Encode(w, m); err != nil {
			return err
		}
		return control.Flush()
	}
	send := func(event string, value any) error {
		return message(eventstreamapi.EventMessageType, eventstreamapi.EventTypeHeader, event, value)
	}
	if err := send("initial-response", map[string]string{}); err != nil {
		return err
	}
	err := run(r.Context(), send)
	if err == nil {
		return nil
	}
	fault, known := errors.AsType[*Fault](err)
	if !known {
		fault = internalFailure()
	}
	told := message(eventstreamapi.ExceptionMessageType, eventstreamapi.ExceptionTypeHeader, fault.Code, map[string]string{"message": fault.Message})
	if known {
		return told
	}
	return err
}
