package app

import (
	"context"
	"crypto/md5" //nolint:gosec // AWS's clients compare it; nobody trusts in it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/s3"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// projectBuckets take the artifacts of projects' builds: the buckets of this
// server, and for other names those of S3, by AWS's usual credentials.
type projectBuckets struct {
	store     *store.DB
	artifacts *artifact.Store
	here      *s3.Handler
	objects   source.Objects
}

var _ builder.Buckets = projectBuckets{}

// Deliver puts an artifact into a bucket.
func (p projectBuckets) Deliver(ctx context.Context, a pipeline.Artifact, bucket, key string, unpacked bool) (sum string, err error) {
	if err := p.put(ctx, a, bucket, key, unpacked); err != nil || unpacked {
		return "", err
	}
	return p.sum(ctx, a)
}

// sum is the MD5 of an artifact's archive.
func (p projectBuckets) sum(ctx context.Context, a pipeline.Artifact) (string, error) {
	in, _, err := p.artifacts.Open(ctx, a.Digest)
	if err != nil {
		return "", err
	}
	defer in.Close()
	hash := md5.New() //nolint:gosec // see above
	if _, err := io.Copy(hash, in); err != nil {
		return "", fmt.Errorf("sum up artifact %s: %w", a.Name, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (p projectBuckets) put(ctx context.Context, a pipeline.Artifact, bucket, key string, unpacked bool) error {
	if bucket == store.ArtifactBucket {
		return noBucket(bucket, "it has the artifacts of executions")
	}
	_, err := p.store.Bucket(ctx, bucket)
	if err == nil {
		return p.own(ctx, a, bucket, key, unpacked)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	objects := p.objects
	if own, ok := objects.(ownObjects); ok {
		objects = own.others
	}
	elsewhere, ok := objects.(source.S3)
	if !ok {
		return noBucket(bucket, "this server has none of that name")
	}
	dir, err := os.MkdirTemp("", "towline-artifact-*")
	if err != nil {
		return fmt.Errorf("deliver artifact %s: %w", a.Name, err)
	}
	defer os.RemoveAll(dir)
	if unpacked {
		err = p.files(ctx, elsewhere.Client, a, dir, bucket, key)
	} else {
		err = p.archive(ctx, elsewhere.Client, a, dir, bucket, key)
	}
	if err != nil && ctx.Err() == nil {
		return noBucket(bucket, err.Error())
	}
	return err
}

func noBucket(bucket, why string) error {
	return &project.Error{Kind: project.ErrInvalid, Message: fmt.Sprintf("the artifact cannot be put into bucket %s: %s; make the bucket here with aws s3 mb, or give the server credentials for S3", bucket, why)}
}

// own puts an archive into a bucket of this server: its bytes stay where they
// are.
func (p projectBuckets) own(ctx context.Context, a pipeline.Artifact, bucket, key string, unpacked bool) error {
	if unpacked {
		return &project.Error{Kind: project.ErrInvalid, Message: fmt.Sprintf("artifacts of builds go into bucket %s of this server as archives: set artifacts.packaging to ZIP", bucket)}
	}
	return p.here.Settle(ctx, access.Object{Bucket: bucket, Key: key}, a.Digest, a.Size)
}

// archive puts an artifact as it is stored, as a zip archive. It is copied
// first: the client reads it twice, to sign it.
func (p projectBuckets) archive(ctx context.Context, client *awss3.Client, a pipeline.Artifact, dir, bucket, key string) error {
	in, _, err := p.artifacts.Open(ctx, a.Digest)
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := os.Create(filepath.Join(dir, "archive.zip"))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, in)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return put(ctx, client, file.Name(), bucket, key)
}

// files puts the files of an artifact below a key.
func (p projectBuckets) files(ctx context.Context, client *awss3.Client, a pipeline.Artifact, dir, bucket, key string) error {
	if err := p.artifacts.Unpack(ctx, a.Digest, dir); err != nil {
		return err
	}
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return put(ctx, client, filepath.Join(dir, filepath.FromSlash(name)), bucket, path.Join(key, name))
	})
}

func put(ctx context.Context, client *awss3.Client, name, bucket, key string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: file})
	return err
}
