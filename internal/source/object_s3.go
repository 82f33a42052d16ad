package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3 is Objects in S3, or in what speaks its language.
type S3 struct {
	Client *s3.Client
}

var _ Objects = S3{}

// NewS3 returns the objects that the credentials of cfg may read. An endpoint,
// such as https://minio.example.com, is for servers other than AWS's; buckets
// are then in the path of the address and not in its host.
func NewS3(cfg aws.Config, endpoint string) S3 {
	return S3{Client: s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
			o.UsePathStyle = true
		}
	})}
}

// Newest implements Objects.
func (s S3) Newest(ctx context.Context, bucket, key string) (ObjectVersion, error) {
	out, err := s.Client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return ObjectVersion{}, s3Error(bucket, key, err)
	}
	return s3Version(out.ETag, out.VersionId), nil
}

// Open implements Objects.
func (s S3) Open(ctx context.Context, bucket, key, version string) (io.ReadCloser, ObjectVersion, int64, error) {
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := s.Client.GetObject(ctx, in)
	if err != nil {
		return nil, ObjectVersion{}, 0, s3Error(bucket, key, err)
	}
	return out.Body, s3Version(out.ETag, out.VersionId), aws.ToInt64(out.ContentLength), nil
}

func s3Version(etag, version *string) ObjectVersion {
	v := ObjectVersion{ETag: strings.Trim(aws.ToString(etag), `"`), Version: aws.ToString(version)}
	if v.Version == "null" {
		v.Version = "" // S3's word for a bucket that keeps none
	}
	return v
}

// s3Error makes words for the user out of what S3 answers.
func s3Error(bucket, key string, err error) error {
	refuse := func(kind error, message, hint string) error {
		return &Error{Kind: kind, Message: fmt.Sprintf("object %s of bucket %s: %s", key, bucket, message), Hint: hint}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		return refuse(ErrUnreachable, clean(err.Error()), "")
	}
	switch answer.HTTPStatusCode() {
	case http.StatusNotFound:
		return refuse(ErrNoObject, "there is no such object, version or bucket", "upload it, or mend S3Bucket or S3ObjectKey")
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse(ErrDenied, "the credentials of this server may not read it", "allow s3:GetObject, s3:GetObjectVersion and, so that a missing object can be told, s3:ListBucket")
	case http.StatusBadRequest:
		return refuse(ErrInvalid, "S3 calls the request wrong: "+clean(err.Error()), "see whether the version exists, and whether the region is the bucket's")
	case http.StatusMovedPermanently:
		return refuse(ErrInvalid, "the bucket is in another region", "set the action's region to the bucket's")
	}
	return refuse(ErrUnreachable, fmt.Sprintf("S3 answers %d %s", answer.HTTPStatusCode(), http.StatusText(answer.HTTPStatusCode())), "")
}
