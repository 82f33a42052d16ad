package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// ErrNoHook is what Hooks returns when there is no webhook of that name.
var ErrNoHook = errors.New("there is no such webhook")

// Hooks knows the webhooks that were set up. It is asked once per message.
type Hooks interface {
	// Hook returns the webhook of that name, or ErrNoHook.
	Hook(ctx context.Context, name string) (Hook, error)
}

// Receiver answers the forges' webhooks. The name of the webhook is the
// request's path value "name": mux.Handle("POST /hooks/{name}", receiver).
type Receiver struct {
	Hooks Hooks
	// Take keeps what an event leads to, together with its Keys: both are on
	// disk when it returns, or neither. When one of the keys is known it keeps
	// nothing, and fresh is false: it is the one point at which two copies of a
	// message that arrive together are told apart. Forges wait no more than ten
	// seconds and most of them send nothing again by themselves, so it notes what
	// is to be done and leaves the doing to others. An error is answered with
	// 500. Its calls may overlap.
	Take   func(ctx context.Context, hook string, event Event) (fresh bool, err error)
	Logger *slog.Logger
}

// readTimeout is how long a message may take to arrive. Forges send theirs in
// one go.
const readTimeout = 30 * time.Second

// The answers to the sender, who shows them to the people who look for the
// reason why nothing has happened.
const (
	answerTaken     = "taken"
	answerPing      = "the webhook works"
	answerOther     = "nothing to do: this event is not watched"
	answerDuplicate = "nothing to do: this message has been taken before"
	// An unknown name and a wrong signature look the same from outside, so
	// that nobody can try out names.
	answerUnsigned = "there is no such webhook, or the message is not signed with its secret"
)

// ServeHTTP answers with one line of text: 200 also for what has no effect,
// such as a message that is sent again; 401 for one that is not signed; 413 and
// 400 for one that cannot be read; 500 when it should be sent again.
func (r Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("name")
	// Nobody's message is read: whoever may send one is known by its name.
	if _, err := r.Hooks.Hook(req.Context(), name); errors.Is(err, ErrNoHook) {
		r.Logger.Warn("webhook refused", "webhook", line(name), "remote", req.RemoteAddr, "error", err)
		http.Error(w, answerUnsigned, http.StatusUnauthorized)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxBody))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			http.Error(w, fmt.Sprintf("the message has more than %d bytes", MaxBody), http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "the message did not arrive whole", http.StatusBadRequest)
		return
	}
	answer, err := r.receive(req.Context(), name, req.Header, body)
	if err == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, answer) //nolint:gosec // one of the answers above, as plain text
		return
	}
	status := StatusCode(err)
	log := r.Logger.With("webhook", line(name), "remote", req.RemoteAddr, "error", err)
	switch status {
	case http.StatusUnauthorized:
		log.Warn("webhook refused")
		http.Error(w, answerUnsigned, status)
	case http.StatusInternalServerError:
		log.Error("webhook not taken; the forge may send it again")
		http.Error(w, "the message could not be taken now; send it again", status)
	default:
		log.Warn("webhook refused")
		http.Error(w, err.Error(), status)
	}
}

// receive acts on one message and returns the answer.
func (r Receiver) receive(ctx context.Context, name string, header http.Header, body []byte) (string, error) {
	hook, err := r.Hooks.Hook(ctx, name)
	if errors.Is(err, ErrNoHook) {
		return "", &Error{Kind: ErrUnsigned, Message: ErrNoHook.Error()}
	}
	if err != nil {
		return "", fmt.Errorf("find webhook: %w", err)
	}
	event, err := hook.Parse(header, body)
	if err != nil {
		return "", err
	}
	switch event.Type {
	case Ping:
		return answerPing, nil
	case Other:
		return answerOther, nil
	}
	fresh, err := r.Take(ctx, name, event)
	if err != nil {
		return "", fmt.Errorf("take %s: %w", event.Type, err)
	}
	if !fresh {
		return answerDuplicate, nil
	}
	return answerTaken, nil
}
