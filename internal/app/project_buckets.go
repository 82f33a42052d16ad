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
func (p projectBuckets) Deliver(ctx context.Context, d builder.Delivery) (sum string, err error) {
	if err := p.put(ctx, d); err != nil || d.Unpacked {
		return "", err
	}
	return p.sum(ctx, d.Artifact)
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

func (p projectBuckets) put(ctx context.Context, d builder.Delivery) error {
	if d.Bucket == store.ArtifactBucket {
		return noBucket(d.Bucket, "it has the artifacts of executions")
	}
	_, err := p.store.Bucket(ctx, d.Bucket)
	if err == nil {
		return p.own(ctx, d)
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
		return noBucket(d.Bucket, "this server has none of that name")
	}
	dir, err := os.MkdirTemp("", "towline-artifact-*")
	if err != nil {
		return fmt.Errorf("deliver artifact %s: %w", d.Artifact.Name, err)
	}
	defer os.RemoveAll(dir)
	u := upload{client: elsewhere.Client, bucket: d.Bucket}
	if d.Unpacked {
		err = p.files(ctx, u, d, dir)
	} else {
		err = p.archive(ctx, u, d, dir)
	}
	if err != nil && ctx.Err() == nil {
		return noBucket(d.Bucket, err.Error())
	}
	return err
}

func noBucket(bucket, why string) error {
	return &project.Error{Kind: project.ErrInvalid, Message: fmt.Sprintf("the artifact cannot be put into bucket %s: %s; make the bucket here with aws s3 mb, or give the server credentials for S3", bucket, why)}
}

// own puts an archive into a bucket of this server: its bytes stay where they
// are.
func (p projectBuckets) own(ctx context.Context, d builder.Delivery) error {
	if d.Unpacked {
		return &project.Error{Kind: project.ErrInvalid, Message: fmt.Sprintf("artifacts of builds go into bucket %s of this server as archives: set artifacts.packaging to ZIP", d.Bucket)}
	}
	return p.here.Settle(ctx, access.Object{Bucket: d.Bucket, Key: d.Key}, d.Artifact.Digest, d.Artifact.Size)
}

// archive puts an artifact as it is stored, as a zip archive. It is copied
// first: the client reads it twice, to sign it.
func (p projectBuckets) archive(ctx context.Context, u upload, d builder.Delivery, dir string) error {
	in, _, err := p.artifacts.Open(ctx, d.Artifact.Digest)
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
	return u.put(ctx, file.Name(), d.Key)
}

// files puts the files of an artifact below a key.
func (p projectBuckets) files(ctx context.Context, u upload, d builder.Delivery, dir string) error {
	if err := p.artifacts.Unpack(ctx, d.Artifact.Digest, dir); err != nil {
		return err
	}
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return u.put(ctx, filepath.Join(dir, filepath.FromSlash(name)), path.Join(d.Key, name))
	})
}

// upload is the way into a bucket elsewhere.
type upload struct {
	client *awss3.Client
	bucket string
}

func (u upload) put(ctx context.Context, name, key string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = u.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &u.bucket, Key: &key, Body: file})
	return err
}
