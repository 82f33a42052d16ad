// Package s3 answers AWS's clients of S3: the part of its API that moves files.
// Its noun is the object, a key in a bucket. It stands beside the other AWS
// APIs, over the artifact store and a table of objects: workers on jobs read and
// write artifacts here, and people put what pipelines begin with. The bucket
// towline-artifacts has the artifacts of executions, which nobody writes but who
// works on a job. It knows neither pipelines nor jobs: what the holder of a
// session may do is in its scope.
package s3

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/store"
)

// Objects are the objects, without their bytes, in buckets. Errors wrap
// store.ErrNotFound, store.ErrExists and store.ErrBusy.
type Objects interface {
	Buckets
	Uploads
	PutObject(ctx context.Context, o store.Object) error
	Object(ctx context.Context, bucket, key string) (store.Object, error)
	Objects(ctx context.Context, bucket, prefix, from string, limit int) ([]store.Object, error)
	RemoveObject(ctx context.Context, bucket, key string) error
	// Unused tells which of these digests nothing refers to.
	Unused(ctx context.Context, digests []string) ([]string, error)
}

// Buckets are what objects lie in.
type Buckets interface {
	AddBucket(ctx context.Context, b store.Bucket) error
	Buckets(ctx context.Context) ([]store.Bucket, error)
	Bucket(ctx context.Context, name string) (store.Bucket, error)
	RemoveBucket(ctx context.Context, name string) error
}

// Uploads are objects that come in parts.
type Uploads interface {
	AddUpload(ctx context.Context, u store.Upload) error
	Upload(ctx context.Context, id string) (store.Upload, error)
	Uploads(ctx context.Context, bucket, prefix, key, id string, limit int) ([]store.Upload, error)
	UploadsBefore(ctx context.Context, then time.Time) ([]store.Upload, error)
	// PutPart returns the chunk of the part that it replaces.
	PutPart(ctx context.Context, upload string, p store.Part) (before []store.Chunk, err error)
	Parts(ctx context.Context, upload string) ([]store.Part, error)
	CompleteUpload(ctx context.Context, id string, o store.Object) error
	RemoveUpload(ctx context.Context, id string) error
}

// Bytes are the bytes of objects, by digest.
type Bytes interface {
	Opener
	// Receive stores what it reads, when it comes to its end without an error.
	Receive(ctx context.Context, r io.Reader) (digest string, size int64, err error)
	Remove(ctx context.Context, digest string) error
	Each(ctx context.Context, do func(digest string) error) error
}

// Opener reads bytes by digest. The error wraps fs.ErrNotExist when they are not
// there.
type Opener interface {
	// OpenAt may return a reader of more than length bytes.
	OpenAt(ctx context.Context, digest string, offset, length int64) (io.ReadCloser, error)
}

var (
	_ Objects = (*store.DB)(nil)
	_ Bytes   = (*artifact.Store)(nil)
)

// Limits bound what is kept. The zero values mean those of AWS.
type Limits struct {
	Object int64 // bytes of an object
	Put    int64 // bytes of one request
	Part   int64 // bytes that each part must have but the last one
}

// Config is what a Handler needs.
type Config struct {
	Keys    access.Keys
	Objects Objects
	// Bytes are those of the objects, and of nothing else: what no object
	// refers to is removed.
	Bytes Bytes
	// Artifacts are the bytes of the artifacts of executions.
	Artifacts Opener
	// Region is the only one that signatures may name, or "" for any.
	Region string
	// Domains are names of this server: what stands before one of them in the
	// name of a host is a bucket.
	Domains []string
	Limits  Limits
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handler answers requests of S3's clients. It is safe for concurrent use.
type Handler struct {
	Config
	verifier sigv4.Verifier

	// held keeps bytes from being removed between the moment in which nothing
	// refers to them and the one in which a new object does.
	held sync.Mutex
}

var _ http.Handler = (*Handler)(nil)

// New makes a Handler.
func New(config Config) *Handler {
	if config.Limits.Object == 0 {
		config.Limits.Object = 50 << 30
	}
	if config.Limits.Put == 0 {
		config.Limits.Put = 5 << 30
	}
	if config.Limits.Part == 0 {
		config.Limits.Part = 5 << 20
	}
	return &Handler{
		Config:   config,
		verifier: sigv4.Verifier{Keys: config.Keys, Region: config.Region, Now: config.Now, Logger: config.Logger},
	}
}

// service is S3's name in signatures.
const service = "s3"

// Mine tells whether a request is for this API: its signature says so. S3 has no
// paths of its own, since the name of a bucket may be any.
func (h *Handler) Mine(r *http.Request) bool {
	query := r.URL.RawQuery
	return sigv4.Service(r) == service || strings.HasPrefix(r.Header.Get("Authorization"), "AWS ") ||
		strings.Contains(query, "AWSAccessKeyId=") && strings.Contains(query, "Signature=")
}
