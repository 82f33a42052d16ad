package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/towline/towline/internal/artifact"
)

// fetch gets the input artifact. clean removes it, also after an error.
func (f *Function) fetch(ctx context.Context, t *task) (root string, clean func(), err error) {
	clean = func() {}
	input, err := t.input()
	if err != nil {
		return "", clean, &parameterError{err}
	}
	dir, err := os.MkdirTemp(f.Dir, "deployment-")
	if err != nil {
		return "", clean, fmt.Errorf("make room for the artifact: %w", err)
	}
	clean = func() { _ = os.RemoveAll(dir) }
	if err := f.Source.Fetch(ctx, t.job, input, dir); err != nil {
		return "", clean, fmt.Errorf("fetch artifact %s: %w", input.Name, err)
	}
	return dir, clean, nil
}

// input is the artifact with the manifests.
func (t *task) input() (events.CodePipelineInputArtifact, error) {
	inputs := t.job.Data.InputArtifacts
	for _, input := range inputs {
		if input.Name == t.parameters.Artifact || t.parameters.Artifact == "" && len(inputs) == 1 {
			return input, nil
		}
	}
	if t.parameters.Artifact == "" {
		return events.CodePipelineInputArtifact{}, fmt.Errorf("the action has %d input artifacts: give it the one with the manifests, or name it by artifact in UserParameters", len(inputs))
	}
	return events.CodePipelineInputArtifact{}, fmt.Errorf("the action has no input artifact %q", t.parameters.Artifact)
}

// mostArtifact bounds the artifact of a deployment, in bytes: a function has
// half a gigabyte of disk.
const mostArtifact = 200 << 20

// Bucket is the Source that reads S3 with the credentials of the job.
type Bucket struct {
	// Config is the SDK's, of which region and endpoint are used.
	Config aws.Config
}

var _ Source = Bucket{}

// Fetch downloads a zip and unpacks it, with the checks and limits of all
// artifacts.
func (b Bucket) Fetch(ctx context.Context, job events.CodePipelineJob, input events.CodePipelineInputArtifact, dir string) (err error) {
	keys := job.Data.ArtifactCredentials
	config := b.Config.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	place := input.Location.S3Location
	out, err := s3.NewFromConfig(config).GetObject(ctx, &s3.GetObjectInput{Bucket: &place.BucketName, Key: &place.ObjectKey})
	if err != nil {
		return fmt.Errorf("get s3://%s/%s: %w", place.BucketName, place.ObjectKey, err)
	}
	defer out.Body.Close()
	zip, err := os.CreateTemp(filepath.Dir(dir), "artifact-*.zip")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, zip.Close(), os.Remove(zip.Name())) }()
	size, err := io.Copy(zip, io.LimitReader(out.Body, mostArtifact+1))
	if err != nil {
		return fmt.Errorf("get s3://%s/%s: %w", place.BucketName, place.ObjectKey, err)
	}
	if size > mostArtifact {
		return fmt.Errorf("the artifact has more than %d MB: give the action one with the manifests alone", mostArtifact>>20)
	}
	unpacker, err := artifact.New(ctx, artifact.Config{Limits: artifact.Limits{Files: 20_000, Bytes: 2 * mostArtifact}})
	if err != nil {
		return err
	}
	return unpacker.Unzip(ctx, zip, size, dir)
}
