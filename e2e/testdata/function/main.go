// A function as people write them for CodePipeline: it reads the action's
// artifact from S3, makes another, and says how it went. Nothing in it knows
// Towline: the SDKs find it by their environment.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, event events.CodePipelineJobEvent) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	job, pipelines := event.CodePipelineJob, codepipeline.NewFromConfig(settings)
	what, argument, _ := strings.Cut(job.Data.ActionConfiguration.Configuration.UserParameters, " ")
	fmt.Println("works on", what, "token", job.Data.ContinuationToken)
	done := &codepipeline.PutJobSuccessResultInput{JobId: &job.ID}
	switch what {
	case "make":
		readme, err := makeGreeting(ctx, settings, job)
		if err != nil {
			return err
		}
		done.OutputVariables = map[string]string{"Greeting": "Hello " + readme}
		done.ExecutionDetails = &types.ExecutionDetails{Summary: aws.String("greeted " + readme)}
	case "refuse":
		_, err := pipelines.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{
			JobId: &job.ID, FailureDetails: &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: aws.String("it is Friday")},
		})
		return err
	case "continue":
		if job.Data.ContinuationToken == "" {
			done.ContinuationToken = aws.String("half")
		}
	case "wait":
		for _, err := os.Stat(argument); errors.Is(err, os.ErrNotExist); _, err = os.Stat(argument) {
			time.Sleep(20 * time.Millisecond)
		}
	case "steal":
		return steal(ctx, settings, pipelines)
	}
	_, err = pipelines.PutJobSuccessResult(ctx, done)
	return err
}

// makeGreeting reads README of the input and puts greeting.txt as the output.
func makeGreeting(ctx context.Context, settings aws.Config, job events.CodePipelineJob) (string, error) {
	keys := job.Data.ArtifactCredentials
	settings.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	objects := s3.NewFromConfig(settings)
	from, to := job.Data.InputArtifacts[0].Location.S3Location, job.Data.OutPutArtifacts[0].Location.S3Location
	got, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &from.BucketName, Key: &from.ObjectKey})
	if err != nil {
		return "", err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return "", err
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return "", err
	}
	file, err := archive.Open("README")
	if err != nil {
		return "", err
	}
	readme, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(readme))
	var made bytes.Buffer
	out := zip.NewWriter(&made)
	w, err := out.Create("greeting.txt")
	if err == nil {
		_, err = fmt.Fprintln(w, "Hello", name)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	_, err = objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &to.BucketName, Key: &to.ObjectKey, Body: bytes.NewReader(made.Bytes())})
	return name, err
}

// steal does what the function's credentials are not for.
func steal(ctx context.Context, settings aws.Config, pipelines *codepipeline.Client) error {
	_, err := pipelines.ListPipelines(ctx, &codepipeline.ListPipelinesInput{})
	fmt.Println("pipelines:", err)
	_, err = s3.NewFromConfig(settings).ListBuckets(ctx, &s3.ListBucketsInput{})
	fmt.Println("buckets:", err)
	_, err = pipelines.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: aws.String("11111111-2222-3333-4444-555555555555")})
	fmt.Println("job:", err)
	return errors.New("stole nothing")
}
