package awsapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// bodyWithin is how long a client may take to send its message.
const bodyWithin = 30 * time.Second

// maxMessage bounds a webhook's message, in bytes: GitHub sends none larger.
const maxMessage = 25 << 20

// errUnknown is the same for an unknown path and for a message that is not of
// whom it should be, so that nobody can try out paths.
var errUnknown = errors.New("there is no such webhook, or the message is not signed with its secret")

// serveWebhook answers the messages that come to webhooks, by the path value
// "path": 200 also for what has no effect, 401 for a message of somebody else,
// 400 and 413 for one that cannot be read, 409 when nothing can be started, 500
// when it should be sent again.
func (h *Handler) serveWebhook(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
	hook, err := h.Webhooks.ByPath(r.Context(), r.PathValue("path"))
	if err != nil {
		h.answerWebhook(w, "", err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err == nil {
		err = authentic(hook, r, body)
	}
	said := ""
	if err == nil {
		said, err = h.trigger(r.Context(), hook, body)
	}
	h.answerWebhook(w, said, err)
}

func (h *Handler) answerWebhook(w http.ResponseWriter, said string, err error) {
	fault, refused := errors.AsType[*wire.Fault](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, said) //nolint:gosec // an answer of ours, as plain text
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, errUnknown):
		http.Error(w, errUnknown.Error(), http.StatusUnauthorized)
	case large:
		http.Error(w, fmt.Sprintf("the message has more than %d bytes", maxMessage), http.StatusRequestEntityTooLarge)
	case refused && fault.Code == "SerializationException":
		http.Error(w, "the message is not one JSON object", http.StatusBadRequest)
	case refused:
		h.Logger.Warn("start for webhook", "error", err)
		http.Error(w, "nothing was started: "+fault.Message, http.StatusConflict)
	default:
		h.Logger.Error("start for webhook", "error", err)
		http.Error(w, "the message could not be taken now; send it again", http.StatusInternalServerError)
	}
}

// authentic is errUnknown for a message that is not of whom it should be.
func authentic(hook Webhook, r *http.Request, body []byte) error {
	switch hook.Authentication {
	case "UNAUTHENTICATED":
		return nil
	case "GITHUB_HMAC":
		// GitHub also sends one with SHA-1, which is not needed.
		given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		mac := hmac.New(sha256.New, []byte(hook.Secret))
		mac.Write(body)
		if err == nil && hook.Secret != "" && hmac.Equal(given, mac.Sum(nil)) {
			return nil
		}
	case "IP":
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		from, err := netip.ParseAddr(host)
		allowed, rangeErr := netip.ParsePrefix(hook.AllowedIPs)
		if err == nil && rangeErr == nil && allowed.Contains(from.Unmap()) {
			return nil
		}
	}
	return errUnknown
}

// trigger starts the pipeline of a webhook, if the filters let the message
// through. A signed message that was taken before starts nothing again.
func (h *Handler) trigger(ctx context.Context, hook Webhook, body []byte) (said string, err error) {
	message, err := wire.Parse(body)
	if err != nil {
		return "", err
	}
	definition, err := h.Records.Pipeline(ctx, hook.Pipeline)
	if errors.Is(err, store.ErrNotFound) {
		return "", wire.Faultf("PipelineNotFoundException", "there is no pipeline %s any more", hook.Pipeline)
	}
	if err != nil {
		return "", err
	}
	source, _ := sourceNamed(definition.Pipeline, hook.Action)
	for _, f := range hook.Filters {
		if !f.lets(message, flat(source.Configuration)) {
			return "nothing to do: the filter " + f.Path + " does not let this message through", nil
		}
	}
	start := engine.StartRequest{Pipeline: hook.Pipeline, Trigger: pipeline.Trigger{Type: pipeline.TriggerPutWebhook, Detail: hook.Name}}
	if hook.Authentication == "GITHUB_HMAC" {
		start.Also = func(ctx context.Context, q store.Querier) error {
			return store.TakeDelivery(ctx, q, "aws/"+hook.Name, []string{sigv4.Digest(body)}, h.Now())
		}
	}
	e, err := h.Starts.Start(ctx, start)
	if errors.Is(err, store.ErrTaken) {
		return "nothing to do: this message has been taken before", nil
	}
	if err != nil {
		return "", refused(err)
	}
	return e.ID + " started", h.Webhooks.Triggered(ctx, hook.Name, h.Now())
}

// lets tells whether a message has the value that the filter wants.
func (f WebhookFilter) lets(message map[string]any, configuration map[string]string) bool {
	path, err := parseJSONPath(f.Path)
	if err != nil {
		return false
	}
	value, ok := path.in(message)
	if !ok || f.Value == "" {
		return ok
	}
	var pairs []string
	for key, text := range configuration {
		pairs = append(pairs, "{"+key+"}", text)
	}
	return value == strings.NewReplacer(pairs...).Replace(f.Value)
}
