package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/towline/towline/internal/forge"
	"github.com/towline/towline/internal/store"
)

// hooks answers the webhooks of the mirrors' forges.
func (a *App) hooks() http.Handler {
	return forge.Receiver{Hooks: a.mirrors, Take: a.takeHook, Logger: a.options.Logger}
}

// takeHook keeps what a forge has told, with the keys of the message. A push
// makes the mirror due: the look at it finds what has moved, so that a message
// which is lost or forged changes nothing but the time of the look. What is told
// of a pull request is nowhere else, so it is kept until it has been acted on
// (pullrequests.go).
func (a *App) takeHook(ctx context.Context, name string, event forge.Event) (fresh bool, err error) {
	now := time.Now()
	a.mirrors.pushers.tell(name, event.Pushes) // before the look that may come at once
	text, err := json.Marshal(event)
	if err != nil {
		return false, fmt.Errorf("encode event: %w", err)
	}
	err = a.store.Update(ctx, func(q store.Querier) error {
		if err := store.TakeDelivery(ctx, q, name, event.Keys, now); err != nil {
			return err
		}
		if event.Type == forge.PushEvent {
			return store.HastenMirror(ctx, q, name, now)
		}
		return store.AddMessage(ctx, q, store.Message{Hook: name, Key: event.Keys[0], Text: text, Taken: now})
	})
	if errors.Is(err, store.ErrTaken) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if event.Type == forge.PushEvent {
		a.mirrors.poller.Wake()
	} else {
		a.pullRequests.Wake()
	}
	return true, nil
}
