package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/towline/towline/internal/awsapi"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/store"
)

// awsWebhooks are the webhooks that AWS's clients have set up. Their
// definitions lie in the database sealed, since secrets are among them.
type awsWebhooks struct {
	store *store.DB
	keys  *secret.Keyring
}

var _ awsapi.Webhooks = awsWebhooks{}

func awsWebhookLabel(name string) string { return "AWS webhook " + name }

// Put keeps a webhook, sealed.
func (w awsWebhooks) Put(ctx context.Context, hook awsapi.Webhook) (path string, err error) {
	text, err := json.Marshal(hook) //nolint:gosec // it is sealed below
	if err != nil {
		return "", fmt.Errorf("encode webhook %s: %w", hook.Name, err)
	}
	stored := store.AWSWebhook{Name: hook.Name, Path: hook.Path}
	if stored.Sealed, err = w.keys.Seal(awsWebhookLabel(hook.Name), text); err != nil {
		return "", err
	}
	return w.store.PutAWSWebhook(ctx, stored)
}

func (w awsWebhooks) open(stored store.AWSWebhook) (hook awsapi.Webhook, err error) {
	text, err := w.keys.Unseal(awsWebhookLabel(stored.Name), stored.Sealed)
	if err != nil {
		return hook, err
	}
	if err := json.Unmarshal(text, &hook); err != nil {
		return hook, fmt.Errorf("read webhook %s: it was written by another Towline: put it again", stored.Name)
	}
	hook.Path, hook.Triggered = stored.Path, stored.Triggered
	return hook, nil
}

// List returns the webhooks by name.
func (w awsWebhooks) List(ctx context.Context) ([]awsapi.Webhook, error) {
	all, err := w.store.AWSWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	var found []awsapi.Webhook
	for _, stored := range all {
		hook, err := w.open(stored)
		if err != nil {
			return nil, err
		}
		found = append(found, hook)
	}
	return found, nil
}

// ByPath finds the webhook of a path.
func (w awsWebhooks) ByPath(ctx context.Context, path string) (awsapi.Webhook, error) {
	stored, err := w.store.AWSWebhook(ctx, path)
	if err != nil {
		return awsapi.Webhook{}, err
	}
	return w.open(stored)
}

// Triggered records that a webhook has started something.
func (w awsWebhooks) Triggered(ctx context.Context, name string, at time.Time) error {
	return w.store.TriggerAWSWebhook(ctx, name, at)
}

// Delete forgets a webhook.
func (w awsWebhooks) Delete(ctx context.Context, name string) error {
	return w.store.RemoveAWSWebhook(ctx, name)
}
