package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// ObjectConfiguration is the configuration of Source/S3, in CodePipeline's
// words.
type ObjectConfiguration struct {
	Bucket string `json:"S3Bucket"`
	Key    string `json:"S3ObjectKey"`
	// Version takes that version instead of the newest one: what the override
	// S3_OBJECT_VERSION_ID of a start asks for.
	Version string `json:"S3ObjectVersionId"`
}

// ObjectVersion is what an object is at one time.
type ObjectVersion struct {
	ETag    string // without quotes; changes with the bytes
	Version string // empty when the bucket keeps no versions
}

// String is what tells one version from another.
func (v ObjectVersion) String() string { return cmp.Or(v.Version, v.ETag) }

// Objects are where S3 objects lie. Its calls may overlap. The errors are of
// kind ErrNoObject, ErrDenied or ErrUnreachable when they are not this
// server's fault.
type Objects interface {
	// Newest tells what the object is now, by one short request.
	Newest(ctx context.Context, bucket, key string) (ObjectVersion, error)
	// Open reads an object, at the version or, if that is empty, as it is now,
	// and tells which version it is and its size in bytes.
	Open(ctx context.Context, bucket, key, version string) (io.ReadCloser, ObjectVersion, int64, error)
}

// ErrNoObject is an object that is not in its bucket.
var ErrNoObject = fmt.Errorf("object %w", ErrNotFound)

// Archives are what the action needs of the artifact store.
type Archives interface {
	Packer
	// Unzip writes the files of an archive into dir, and refuses names and
	// links that lead out of it and what is larger than may be.
	Unzip(ctx context.Context, archive io.ReaderAt, size int64, dir string) error
}

// ObjectAction carries out Source/S3: it takes the newest version of an object
// and stores it as an artifact: the files in it if it is a zip archive, as
// CodePipeline's sources are, else the object itself under the last part of its
// key. It is safe for concurrent use.
type ObjectAction struct {
	Objects   Objects
	Artifacts Archives
	// MaxBytes limits an object. Default 5 GiB, as in CodePipeline.
	MaxBytes int64
}

// Newest tells the version of the object that the configuration names. Who
// polls compares it with the one seen last.
func (a ObjectAction) Newest(ctx context.Context, cfg ObjectConfiguration) (ObjectVersion, error) {
	if err := cfg.check(); err != nil {
		return ObjectVersion{}, err
	}
	return a.Objects.Newest(ctx, cfg.Bucket, cfg.Key)
}

func (c ObjectConfiguration) check() error {
	last := path.Base(c.Key)
	if c.Bucket == "" || c.Key == "" || strings.HasSuffix(c.Key, "/") || last == "." || last == ".." || strings.ContainsRune(c.Key, 0) {
		return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("bucket %.100q and key %.200q name no object", c.Bucket, c.Key),
			Hint: "set S3Bucket to the bucket's name and S3ObjectKey to the object's whole key"}
	}
	return nil
}

// Run does the job. The variables of its result are CodePipeline's: BucketName,
// ObjectKey, ETag and VersionId.
func (a ObjectAction) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var cfg ObjectConfiguration
	if err := json.Unmarshal(job.Configuration, &cfg); err != nil {
		return pipeline.Result{}, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	dir, file := filepath.Join(job.Dir, "object"), filepath.Join(job.Dir, "download")
	// What an interrupted run has left is not trusted to be whole.
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(file)); err != nil {
		return pipeline.Result{}, fmt.Errorf("clear directory of object: %w", err)
	}
	version, err := a.take(ctx, cfg, file, dir)
	if ctx.Err() != nil {
		return pipeline.Result{}, context.Cause(ctx)
	}
	if refused, ok := errors.AsType[*Error](err); ok && !errors.Is(err, ErrUnreachable) {
		return pipeline.Fail("%s", refused.Error()), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	if job.Log != nil {
		fmt.Fprintf(job.Log, "object %s of bucket %s, version %s, ETag %s\n", clean(cfg.Key), clean(cfg.Bucket), clean(cmp.Or(version.Version, "none")), clean(version.ETag))
	}
	digest, size, err := a.Artifacts.Pack(ctx, dir, nil)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("store object %s: %w", cfg.Key, err)
	}
	return pipeline.Result{
		Outcome: pipeline.Succeeded,
		Summary: fmt.Sprintf("%s %.12s", path.Base(cfg.Key), version),
		Variables: map[string]string{
			"BucketName": cfg.Bucket,
			"ObjectKey":  cfg.Key,
			"ETag":       version.ETag,
			"VersionId":  version.Version,
		},
		Artifacts: []pipeline.Artifact{{Name: outputName(job.Action), Digest: digest, Size: size}},
	}, nil
}

// take downloads the object into file and makes of it what the artifact holds,
// in dir.
func (a ObjectAction) take(ctx context.Context, cfg ObjectConfiguration, file, dir string) (ObjectVersion, error) {
	if err := cfg.check(); err != nil {
		return ObjectVersion{}, err
	}
	body, version, size, err := a.Objects.Open(ctx, cfg.Bucket, cfg.Key, cfg.Version)
	if err != nil {
		return ObjectVersion{}, err
	}
	defer body.Close()
	limit := cmp.Or(a.MaxBytes, 5<<30)
	if size > limit {
		return version, tooLarge(cfg, limit)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return version, fmt.Errorf("download object: %w", err)
	}
	defer os.RemoveAll(file)
	defer f.Close()
	if size, err = io.Copy(f, io.LimitReader(body, limit+1)); err != nil {
		return version, &Error{Kind: ErrUnreachable, Message: fmt.Sprintf("object %s of bucket %s did not arrive whole: %s", cfg.Key, cfg.Bucket, clean(err.Error()))}
	}
	if size > limit {
		return version, tooLarge(cfg, limit)
	}
	return version, a.lay(ctx, cfg, f, size, dir)
}

func tooLarge(cfg ObjectConfiguration, limit int64) error {
	return &Error{Kind: ErrTooLarge, Message: fmt.Sprintf("object %s of bucket %s has more than %d bytes", cfg.Key, cfg.Bucket, limit)}
}

// lay writes the files of the object into dir.
func (a ObjectAction) lay(ctx context.Context, cfg ObjectConfiguration, f *os.File, size int64, dir string) error {
	magic := make([]byte, 4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read object: %w", err)
	}
	// The first two bytes are those of an archive with files, and of an empty one.
	if m := string(magic[:n]); m == "PK\x03\x04" || m == "PK\x05\x06" {
		err := a.Artifacts.Unzip(ctx, f, size, dir)
		if _, ours := errors.AsType[*fs.PathError](err); err != nil && !ours && ctx.Err() == nil {
			return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("object %s of bucket %s: %v", cfg.Key, cfg.Bucket, err), Hint: "upload a zip archive of plain files and directories"}
		}
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write object: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, path.Base(cfg.Key))); err != nil {
		return fmt.Errorf("write object: %w", err)
	}
	return nil
}
