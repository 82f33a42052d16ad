package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/store"
)

// Summary is what a list of pipelines tells of one.
type Summary struct {
	Name             string
	Version          int
	Type             string // V1 or V2
	ExecutionMode    string // QUEUED, SUPERSEDED or PARALLEL
	Created, Updated time.Time
}

// Definition is a pipeline with its declaration in AWS's form: the value of
// "pipeline" in GetPipeline.
type Definition struct {
	Summary
	Declaration json.RawMessage
}

// Definitions are the declarations of pipelines. They are called concurrently.
// A declaration that comes in has the members, types and lengths that AWS
// wants, and nothing else about it has been checked. Errors that AWS has a name
// for are *wire.Fault or pipeline.Problems, such as InvalidStructureException; one that
// wraps store.ErrNotFound says that there is no such pipeline.
type Definitions interface {
	// List returns at most limit pipelines by name, those after the given one.
	List(ctx context.Context, after string, limit int) ([]Summary, error)
	// Get returns one version, or with 0 the newest.
	Get(ctx context.Context, name string, version int) (Definition, error)
	Create(ctx context.Context, declaration json.RawMessage) (Definition, error)
	// Update replaces the declaration of the pipeline that it names.
	Update(ctx context.Context, declaration json.RawMessage) (Definition, error)
	Delete(ctx context.Context, name string) error
}

// noPipeline is what AWS says of a pipeline that is not there.
func noPipeline(c wire.Call, name string) *wire.Fault {
	return wire.Faultf("PipelineNotFoundException", "Account '%s' does not have a pipeline with name '%s'", c.Account, name)
}

// missingPipeline tells an error about a pipeline that is not there in AWS's
// words, and leaves others as they are.
func missingPipeline(c wire.Call, name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return noPipeline(c, name)
	}
	return err
}

func (h *Handler) listPipelines(ctx context.Context, _ wire.Call, in *codepipeline.ListPipelinesInput) (*codepipeline.ListPipelinesOutput, error) {
	list := wire.List("ListPipelines")
	after, err := h.pages().Place(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	most := wire.Size(in.MaxResults, 1000)
	found, err := h.Definitions.List(ctx, after, most+1)
	if err != nil {
		return nil, err
	}
	out := &codepipeline.ListPipelinesOutput{Pipelines: []types.PipelineSummary{}}
	if len(found) > most {
		found = found[:most]
		out.NextToken = new(h.pages().Next(list, found[most-1].Name))
	}
	for _, p := range found {
		out.Pipelines = append(out.Pipelines, types.PipelineSummary{
			Name: &p.Name, Version: new(int32(p.Version)), PipelineType: types.PipelineType(p.Type), ExecutionMode: types.ExecutionMode(p.ExecutionMode),
			Created: when(p.Created), Updated: when(p.Updated),
		})
	}
	return out, nil
}

// definitionOutput is GetPipelineOutput with the declaration as it came.
type definitionOutput struct {
	Pipeline json.RawMessage
	Metadata *types.PipelineMetadata
	Tags     []types.Tag
}

func (h *Handler) getPipeline(ctx context.Context, c wire.Call, in *codepipeline.GetPipelineInput) (*definitionOutput, error) {
	found, err := h.Definitions.Get(ctx, *in.Name, int(aws.ToInt32(in.Version)))
	if err != nil {
		return nil, missingPipeline(c, *in.Name, err)
	}
	return &definitionOutput{
		Pipeline: found.Declaration,
		Metadata: &types.PipelineMetadata{PipelineArn: new(c.ARN(found.Name)), Created: when(found.Created), Updated: when(found.Updated)},
	}, nil
}

// declarationInput is CreatePipelineInput with the declaration as it came.
type declarationInput struct {
	Pipeline json.RawMessage
	Tags     []types.Tag
}

func (h *Handler) createPipeline(ctx context.Context, _ wire.Call, in *declarationInput) (*definitionOutput, error) {
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	made, err := h.Definitions.Create(ctx, in.Pipeline)
	if err != nil {
		return nil, refused(err)
	}
	if err := h.addTags(ctx, made.Name, tags); err != nil {
		return nil, err
	}
	return &definitionOutput{Pipeline: made.Declaration, Tags: in.Tags}, nil
}

func (h *Handler) updatePipeline(ctx context.Context, c wire.Call, in *declarationInput) (*definitionOutput, error) {
	made, err := h.Definitions.Update(ctx, in.Pipeline)
	if err != nil {
		return nil, missingPipeline(c, nameIn(in.Pipeline), refused(err))
	}
	return &definitionOutput{Pipeline: made.Declaration}, nil
}

// nameIn is the name of the pipeline in its declaration, for messages.
func nameIn(declaration json.RawMessage) string {
	var named struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(declaration, &named)
	return strings.TrimSpace(named.Name)
}

// deletePipeline is content with a pipeline that is gone already, as AWS is.
func (h *Handler) deletePipeline(ctx context.Context, _ wire.Call, in *codepipeline.DeletePipelineInput) (*nothing, error) {
	if err := h.Definitions.Delete(ctx, *in.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return &nothing{}, h.Tags.ForgetTags(ctx, *in.Name)
}

// nothing is the answer of operations that tell nothing.
type nothing struct{}
