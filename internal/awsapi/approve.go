package awsapi

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
)

// approve decides about a manual approval. AWS's request names no execution:
// the token does.
func (h *Handler) approve(ctx context.Context, c wire.Call, in *codepipeline.PutApprovalResultInput) (*codepipeline.PutApprovalResultOutput, error) {
	definition, state, err := h.Records.PipelineState(ctx, *in.PipelineName)
	if err != nil {
		return nil, missingPipeline(c, *in.PipelineName, err)
	}
	stage, _, ok := definition.Pipeline.Stage(*in.StageName)
	if !ok {
		return nil, noStage(*in.PipelineName, *in.StageName)
	}
	if !slices.ContainsFunc(stage.Actions, func(a pipeline.Action) bool { return a.Name == *in.ActionName }) {
		return nil, wire.Faultf("ActionNotFoundException", "The stage '%s' of the pipeline '%s' has no action '%s'.", *in.StageName, *in.PipelineName, *in.ActionName)
	}
	execution, ok := tokenOf(state, *in.StageName, *in.ActionName, *in.Token)
	if !ok {
		return nil, wire.Faultf("InvalidApprovalTokenException", "The token is not that of an approval of the action '%s' that can be given now.", *in.ActionName)
	}
	at := h.Now()
	err = h.Decisions.Approve(ctx, pipeline.Approved{
		Execution: execution, Stage: *in.StageName, Action: *in.ActionName, Token: *in.Token,
		Yes: in.Result.Status == types.ApprovalStatusApproved, Summary: aws.ToString(in.Result.Summary), By: c.Who(),
	})
	if err != nil {
		return nil, refused(err)
	}
	return &codepipeline.PutApprovalResultOutput{ApprovedAt: &at}, nil
}

// tokenOf finds the execution whose approval the token is for.
func tokenOf(state pipeline.State, stageName, action, token string) (execution string, ok bool) {
	for _, e := range state.Executions {
		s := e.Stage(stageName)
		if s == nil {
			continue
		}
		for _, a := range s.Actions {
			if a.Name == action && pipeline.ApprovalToken(e.ID, s.Name, cmp.Or(a.Attempt, s.Attempt), a.Name) == token {
				return e.ID, true
			}
		}
	}
	return "", false
}
