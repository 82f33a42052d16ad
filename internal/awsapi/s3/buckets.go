package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/store"
)

// bucketList answers ListBuckets.
type bucketList struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   *owner
	Buckets struct{ Bucket []listedBucket }
}

type listedBucket struct {
	Name         string
	CreationDate string
}

func (h *Handler) listBuckets(ctx context.Context, q *request) error {
	all, err := h.Objects.Buckets(ctx)
	if err != nil {
		return err
	}
	out := bucketList{Owner: theOwner()}
	for _, b := range all {
		if strings.HasPrefix(b.Name, q.query.Get("prefix")) {
			out.Buckets.Bucket = append(out.Buckets.Bucket, listedBucket{b.Name, stamp(b.Created)})
		}
	}
	answer(q, http.StatusOK, out)
	return nil
}

func (h *Handler) headBucket(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	q.Header().Set("X-Amz-Bucket-Region", q.verified.Signature.Scope.Region)
	q.WriteHeader(http.StatusOK)
	return nil
}

// bucketLocation answers GetBucketLocation: the region that the client is in,
// which for us-east-1 has no name.
type bucketLocation struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Region  string   `xml:",chardata"`
}

func (h *Handler) location(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	out := bucketLocation{Region: q.verified.Signature.Scope.Region}
	if out.Region == "us-east-1" {
		out.Region = ""
	}
	answer(q, http.StatusOK, out)
	return nil
}

// bucketVersioning answers GetBucketVersioning: there is none.
type bucketVersioning struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
}

func (h *Handler) versioning(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	answer(q, http.StatusOK, bucketVersioning{})
	return nil
}

func (h *Handler) createBucket(ctx context.Context, q *request) error {
	var wanted struct {
		LocationConstraint string
	}
	if err := q.document(&wanted); err != nil && !errors.Is(err, errNoDocument) {
		return err
	}
	err := h.Objects.AddBucket(ctx, store.Bucket{Name: q.bucket, Created: h.Now()})
	if errors.Is(err, store.ErrExists) {
		return faultf(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	if err != nil {
		return err
	}
	q.Header().Set("Location", "/"+q.bucket)
	q.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) deleteBucket(ctx context.Context, q *request) error {
	err := h.Objects.RemoveBucket(ctx, q.bucket)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noBucket()
	case errors.Is(err, store.ErrBusy):
		return faultf(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	case err != nil:
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}
