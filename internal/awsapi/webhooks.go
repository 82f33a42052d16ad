package awsapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Webhook is a webhook that a client has set up: who calls its URL starts the
// pipeline, if the message is of whom it should be and all filters let it
// through.
type Webhook struct {
	Name           string
	Path           string // the part of its URL that nobody can guess
	Pipeline       string
	Action         string // a source of the pipeline
	Authentication string // GITHUB_HMAC, IP or UNAUTHENTICATED
	Secret         string // of GITHUB_HMAC
	AllowedIPs     string // of IP: a range, as 192.0.2.0/24
	Filters        []WebhookFilter
	Triggered      time.Time // zero before it has started anything
}

// WebhookFilter lets messages through that have a value at a path. {Key} in the
// value stands for that of the source action's configuration.
type WebhookFilter struct {
	Path  string // JSONPath
	Value string // "" for any
}

// Webhooks keeps webhooks, with their secrets sealed. Errors wrap
// store.ErrNotFound for what is not there.
type Webhooks interface {
	// Put keeps a webhook. One of that name keeps its path, which is returned.
	Put(ctx context.Context, w Webhook) (path string, err error)
	List(ctx context.Context) ([]Webhook, error) // by name
	ByPath(ctx context.Context, path string) (Webhook, error)
	Triggered(ctx context.Context, name string, at time.Time) error
	Delete(ctx context.Context, name string) error
}

// maxWebhooks is how many webhooks there may be, as in AWS.
const maxWebhooks = 300

// maskedSecret is shown in place of a secret.
const maskedSecret = "****"

func (h *Handler) putWebhook(ctx context.Context, c wire.Call, in *codepipeline.PutWebhookInput) (*codepipeline.PutWebhookOutput, error) {
	if len(in.Tags) > 0 {
		return nil, wire.Faultf("InvalidTagsException", "Towline keeps tags of pipelines alone.")
	}
	w, err := webhookOf(in.Webhook)
	if err != nil {
		return nil, err
	}
	if err := h.checkTarget(ctx, c, w); err != nil {
		return nil, err
	}
	all, err := h.Webhooks.List(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(other Webhook) bool { return other.Name == w.Name }); i >= 0 {
		w.Triggered = all[i].Triggered
	} else if len(all) >= maxWebhooks {
		return nil, wire.Faultf("LimitExceededException", "There are %d webhooks, and there cannot be more.", len(all))
	}
	w.Path = rand.Text()
	if w.Path, err = h.Webhooks.Put(ctx, w); err != nil {
		return nil, err
	}
	item := h.webhookItem(c, w)
	return &codepipeline.PutWebhookOutput{Webhook: &item}, nil
}

// webhookOf checks a definition.
func webhookOf(d *types.WebhookDefinition) (Webhook, error) {
	w := Webhook{
		Name: *d.Name, Pipeline: *d.TargetPipeline, Action: *d.TargetAction, Authentication: string(d.Authentication),
		Secret: aws.ToString(d.AuthenticationConfiguration.SecretToken), AllowedIPs: aws.ToString(d.AuthenticationConfiguration.AllowedIPRange),
	}
	_, rangeErr := netip.ParsePrefix(w.AllowedIPs)
	const bad = "InvalidWebhookAuthenticationParametersException"
	switch d.Authentication {
	case types.WebhookAuthenticationTypeGithubHmac:
		if w.Secret == "" || w.Secret == maskedSecret || w.AllowedIPs != "" {
			return w, wire.Faultf(bad, "GITHUB_HMAC needs a SecretToken, and nothing else.")
		}
	case types.WebhookAuthenticationTypeIp:
		if rangeErr != nil || w.Secret != "" {
			return w, wire.Faultf(bad, "IP needs an AllowedIPRange such as 192.0.2.0/24, and nothing else.")
		}
	case types.WebhookAuthenticationTypeUnauthenticated:
		if w.Secret != "" || w.AllowedIPs != "" {
			return w, wire.Faultf(bad, "UNAUTHENTICATED has no parameters.")
		}
	}
	for _, f := range d.Filters {
		if _, err := parseJSONPath(*f.JsonPath); err != nil {
			return w, wire.Faultf("InvalidWebhookFilterPatternException", "The filter '%s' cannot be used: %s.", *f.JsonPath, err)
		}
		w.Filters = append(w.Filters, WebhookFilter{*f.JsonPath, aws.ToString(f.MatchEquals)})
	}
	return w, nil
}

func (h *Handler) checkTarget(ctx context.Context, c wire.Call, w Webhook) error {
	definition, err := h.Records.Pipeline(ctx, w.Pipeline)
	if err != nil {
		return missingPipeline(c, w.Pipeline, err)
	}
	if _, ok := sourceNamed(definition.Pipeline, w.Action); !ok {
		return wire.Faultf("ValidationException", "The pipeline '%s' has no source action '%s'.", w.Pipeline, w.Action)
	}
	return nil
}

func sourceNamed(p pipeline.Pipeline, name string) (pipeline.Action, bool) {
	for _, s := range p.Stages {
		for _, a := range s.Actions {
			if a.Name == name && a.Type.Category == pipeline.CategorySource {
				return a, true
			}
		}
	}
	return pipeline.Action{}, false
}

// webhookItem shows a webhook, but for its secret.
func (h *Handler) webhookItem(c wire.Call, w Webhook) types.ListWebhookItem {
	d := &types.WebhookDefinition{
		Name: &w.Name, TargetPipeline: &w.Pipeline, TargetAction: &w.Action, Authentication: types.WebhookAuthenticationType(w.Authentication),
		AuthenticationConfiguration: &types.WebhookAuthConfiguration{AllowedIPRange: text(w.AllowedIPs)}, Filters: []types.WebhookFilterRule{},
	}
	if w.Secret != "" {
		d.AuthenticationConfiguration.SecretToken = new(maskedSecret)
	}
	for _, f := range w.Filters {
		d.Filters = append(d.Filters, types.WebhookFilterRule{JsonPath: &f.Path, MatchEquals: text(f.Value)})
	}
	return types.ListWebhookItem{Definition: d, Url: new(h.WebhookURL(w.Path)), Arn: new(c.ARN("webhook:" + w.Name)), LastTriggered: when(w.Triggered)}
}

func (h *Handler) listWebhooks(ctx context.Context, c wire.Call, in *codepipeline.ListWebhooksInput) (*codepipeline.ListWebhooksOutput, error) {
	list := wire.List("ListWebhooks")
	after, err := h.pages().Place(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	all, err := h.Webhooks.List(ctx)
	if err != nil {
		return nil, err
	}
	first, _ := slices.BinarySearchFunc(all, after+"\x00", func(w Webhook, name string) int { return cmp.Compare(w.Name, name) })
	if after == "" {
		first = 0
	}
	out := &codepipeline.ListWebhooksOutput{Webhooks: []types.ListWebhookItem{}}
	most := wire.Size(in.MaxResults, 100)
	for _, w := range all[first:] {
		if len(out.Webhooks) == most {
			out.NextToken = new(h.pages().Next(list, *out.Webhooks[most-1].Definition.Name))
			break
		}
		out.Webhooks = append(out.Webhooks, h.webhookItem(c, w))
	}
	return out, nil
}

// deleteWebhook is content with one that is gone already, as AWS is.
func (h *Handler) deleteWebhook(ctx context.Context, _ wire.Call, in *codepipeline.DeleteWebhookInput) (*nothing, error) {
	if err := h.Webhooks.Delete(ctx, *in.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return &nothing{}, nil
}
