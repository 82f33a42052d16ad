package awsapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/store"
)

// maxTags is how many tags a resource may have.
const maxTags = 50

// Tags keeps the tags of resources, which are named by the last part of their
// ARN. It is implemented by *store.DB.
type Tags interface {
	Tags(ctx context.Context, resource string) ([]store.Tag, error)
	AddTags(ctx context.Context, resource string, tags []store.Tag, most int) error
	RemoveTags(ctx context.Context, resource string, keys []string) error
	ForgetTags(ctx context.Context, resource string) error
}

var _ Tags = (*store.DB)(nil)

// tagsOf checks tags that a request gives.
func tagsOf(given []types.Tag) ([]store.Tag, error) {
	var tags []store.Tag
	for _, t := range given {
		key := aws.ToString(t.Key)
		switch {
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, wire.Faultf("InvalidTagsException", "Tag keys that start with aws: are reserved, and '%s' does.", key)
		case slices.ContainsFunc(tags, func(other store.Tag) bool { return other.Key == key }):
			return nil, wire.Faultf("InvalidTagsException", "The tag key '%s' is given twice.", key)
		}
		tags = append(tags, store.Tag{Key: key, Value: aws.ToString(t.Value)})
	}
	return tags, nil
}

func (h *Handler) addTags(ctx context.Context, resource string, tags []store.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	err := h.Tags.AddTags(ctx, resource, tags, maxTags)
	if errors.Is(err, store.ErrTooMany) {
		return wire.Faultf("TooManyTagsException", "A resource cannot have more than %d tags.", maxTags)
	}
	return err
}

// tagged is the pipeline that an ARN names. Only pipelines have tags here.
func (h *Handler) tagged(ctx context.Context, c wire.Call, arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 6) // the model wants that many
	if parts[3] != c.Region || parts[4] != c.Account {
		return "", wire.Faultf("InvalidArnException", "The ARN %s is not of this server: its pipelines are named %s.", arn, c.ARN("NAME"))
	}
	name := parts[5]
	_, err := h.Definitions.Get(ctx, name, 0)
	if errors.Is(err, store.ErrNotFound) {
		return "", wire.Faultf("ResourceNotFoundException", "There is no pipeline with the ARN %s.", arn)
	}
	return name, err
}

func (h *Handler) listTags(ctx context.Context, c wire.Call, in *codepipeline.ListTagsForResourceInput) (*codepipeline.ListTagsForResourceOutput, error) {
	list := wire.List("ListTagsForResource", *in.ResourceArn)
	after, err := h.pages().Place(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	name, err := h.tagged(ctx, c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := h.Tags.Tags(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &codepipeline.ListTagsForResourceOutput{Tags: []types.Tag{}}
	most := wire.Size(in.MaxResults, 100)
	for _, t := range tags {
		if t.Key <= after {
			continue
		}
		if len(out.Tags) == most {
			out.NextToken = new(h.pages().Next(list, *out.Tags[most-1].Key))
			break
		}
		out.Tags = append(out.Tags, types.Tag{Key: &t.Key, Value: &t.Value})
	}
	return out, nil
}

func (h *Handler) tagResource(ctx context.Context, c wire.Call, in *codepipeline.TagResourceInput) (*nothing, error) {
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	name, err := h.tagged(ctx, c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.addTags(ctx, name, tags)
}

func (h *Handler) untagResource(ctx context.Context, c wire.Call, in *codepipeline.UntagResourceInput) (*nothing, error) {
	name, err := h.tagged(ctx, c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.Tags.RemoveTags(ctx, name, in.TagKeys)
}
