package lambda

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// The lengths that CodePipeline takes, in characters.
const (
	mostSummary = 2000
	mostMessage = 5000
)

// Pipelines is the Reporter that calls CodePipeline with the function's own
// credentials.
type Pipelines struct{ Client *codepipeline.Client }

var _ Reporter = Pipelines{}

// NewPipelines is a Reporter with the SDK's configuration.
func NewPipelines(config aws.Config) Pipelines {
	return Pipelines{codepipeline.NewFromConfig(config)}
}

// Succeed calls PutJobSuccessResult.
func (p Pipelines) Succeed(ctx context.Context, job string, said Success) error {
	in := &codepipeline.PutJobSuccessResultInput{JobId: &job, ExecutionDetails: &types.ExecutionDetails{Summary: aws.String(cut(said.Summary, mostSummary))}}
	if said.Token != "" {
		in.ContinuationToken = &said.Token
	} else {
		in.OutputVariables = said.Variables
	}
	if _, err := p.Client.PutJobSuccessResult(ctx, in); err != nil {
		return fmt.Errorf("report success of job %s: %w", job, err)
	}
	return nil
}

// Fail calls PutJobFailureResult.
func (p Pipelines) Fail(ctx context.Context, job, kind, message string) error {
	_, err := p.Client.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{
		JobId: &job, FailureDetails: &types.FailureDetails{Type: types.FailureType(kind), Message: aws.String(cut(message, mostMessage))},
	})
	if err != nil {
		return fmt.Errorf("report failure of job %s: %w", job, err)
	}
	return nil
}

func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-3]) + "..."
	}
	return text
}
