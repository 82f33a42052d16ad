// A function as it is written for AWS: nothing in it knows Towline.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, event events.CodePipelineJobEvent) (map[string]any, error) {
	parameters := event.CodePipelineJob.Data.ActionConfiguration.Configuration.UserParameters
	fmt.Println("parameters", parameters)
	if parameters == "fail" {
		return nil, errors.New("as it was told")
	}
	known, _ := lambdacontext.FromContext(ctx)
	_, limited := ctx.Deadline()
	return map[string]any{"job": event.CodePipelineJob.ID, "request": known.AwsRequestID, "limited": limited}, nil
}

func main() { lambda.Start(handle) }
