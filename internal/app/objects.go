package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/s3"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// ownObjects are the objects that pipelines begin with: those of this server's
// buckets, and of AWS's where this server has no bucket of the name.
type ownObjects struct {
	buckets *store.DB
	own     *s3.Handler
	others  source.Objects
}

var _ source.Objects = ownObjects{}

// mine tells whether a bucket is this server's.
func (o ownObjects) mine(ctx context.Context, bucket string) (bool, error) {
	_, err := o.buckets.Bucket(ctx, bucket)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Newest implements source.Objects.
func (o ownObjects) Newest(ctx context.Context, bucket, key string) (source.ObjectVersion, error) {
	mine, err := o.mine(ctx, bucket)
	if err != nil {
		return source.ObjectVersion{}, err
	}
	if !mine {
		return o.others.Newest(ctx, bucket, key)
	}
	found, err := o.buckets.Object(ctx, bucket, key)
	return source.ObjectVersion{ETag: found.ETag}, noObject(bucket, key, err)
}

// Open implements source.Objects.
func (o ownObjects) Open(ctx context.Context, bucket, key, version string) (io.ReadCloser, source.ObjectVersion, int64, error) {
	mine, err := o.mine(ctx, bucket)
	if err != nil {
		return nil, source.ObjectVersion{}, 0, err
	}
	if !mine {
		return o.others.Open(ctx, bucket, key, version)
	}
	in, found, err := o.own.Open(ctx, access.Object{Bucket: bucket, Key: key})
	if err == nil && version != "" {
		// This server keeps the newest version alone, and gives it no id.
		err = errors.Join(store.ErrNotFound, in.Close())
	}
	if err != nil {
		return nil, source.ObjectVersion{}, 0, noObject(bucket, key, err)
	}
	return in, source.ObjectVersion{ETag: found.ETag}, found.Size, nil
}

// noObject tells the user what is not there.
func noObject(bucket, key string, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return &source.Error{
		Kind: source.ErrNoObject, Message: "object " + key + " of this server's bucket " + bucket + ": there is no such object or version",
		Hint: "upload it: aws s3 cp FILE s3://" + bucket + "/" + key + " --endpoint-url URL-OF-THIS-SERVER",
	}
}

// openS3 opens the buckets of this server, and lets pipelines begin with what is
// in them.
func (a *App) openS3(ctx context.Context) error {
	bytes, err := artifact.Open(ctx, filepath.Join(a.options.Server.Data, "objects"))
	if err != nil {
		return err
	}
	var domains []string
	if u, err := url.Parse(a.options.Server.URL); err == nil && u.Hostname() != "" {
		domains = append(domains, u.Hostname())
	}
	a.s3 = s3.New(s3.Config{
		Keys: a.signers(), Objects: a.store, Bytes: bytes, Artifacts: a.artifacts, Domains: append(domains, "localhost"), Now: time.Now, Logger: a.options.Logger,
	})
	a.objects.Objects = ownObjects{buckets: a.store, own: a.s3, others: a.objects.Objects}
	// Archives that were being unpacked when the server was killed.
	if err := os.RemoveAll(filepath.Join(a.options.Server.Data, "outputs")); err != nil {
		return fmt.Errorf("clear directory of outputs: %w", err)
	}
	return a.s3.Sweep(ctx)
}
