package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/towline/towline/internal/store"
)

// maxMetadata bounds what a client adds to an object, in bytes.
const maxMetadata = 2048

// kept are the headers that are answered as they were given.
var kept = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// headers are those of the object that a request makes.
func (q *request) headers() (map[string]string, error) {
	found, size := map[string]string{}, 0
	for _, name := range kept {
		value := q.asked(name)
		if name == "Content-Encoding" {
			// It tells how the body was framed on the way, which is over.
			value = strings.Trim(strings.ReplaceAll(value, "aws-chunked", ""), ", ")
		}
		if value != "" {
			found[name] = value
			size += len(name) + len(value)
		}
	}
	for name, values := range q.r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			found[name] = strings.Join(values, ",")
			size += len(name) + len(found[name])
		}
	}
	if size > 2*maxMetadata {
		return nil, faultf(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	}
	return found, nil
}

func (h *Handler) putObject(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	headers, err := q.headers()
	if err != nil {
		return err
	}
	got, err := h.receive(ctx, q)
	if err != nil {
		return err
	}
	if got.checksum.name != "" {
		headers[got.checksum.header()] = got.checksum.value()
		headers[checksumType] = "FULL_OBJECT"
	}
	o := store.Object{
		Bucket: q.bucket, Key: q.key, Size: got.chunk.Size, ETag: got.etag, Headers: headers, Modified: h.Now(), Chunks: []store.Chunk{got.chunk},
	}
	if err := h.replace(ctx, q, o, func() error { return h.Objects.PutObject(ctx, o) }); err != nil {
		return err
	}
	sayChecksum(q.Header(), o)
	q.Header().Set("ETag", quoted(o.ETag))
	q.WriteHeader(http.StatusOK)
	return nil
}

// replace saves an object in place of what had its key, if the conditions of the
// request allow.
func (h *Handler) replace(ctx context.Context, q *request, o store.Object, save func() error) error {
	var before store.Object
	return errors.Join(h.refer(ctx, func() (err error) {
		before, err = h.Objects.Object(ctx, o.Bucket, o.Key)
		there := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if none := q.asked("If-None-Match"); none != "" && there && matches(none, before.ETag) {
			return precondition()
		}
		if match := q.asked("If-Match"); match != "" && (!there || !matches(match, before.ETag)) {
			return precondition()
		}
		return save()
	}, o.Chunks), h.drop(context.WithoutCancel(ctx), before.Chunks...))
}

// hasBucket is a Fault when there is no such bucket.
func (h *Handler) hasBucket(ctx context.Context, name string) error {
	_, err := h.Objects.Bucket(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return noBucket()
	}
	return err
}

func quoted(etag string) string { return `"` + etag + `"` }

// sayChecksum answers the checksum that was kept of an object.
func sayChecksum(header http.Header, o store.Object) {
	for name, value := range o.Headers {
		if strings.HasPrefix(name, checksumHeader) {
			header.Set(name, value)
		}
	}
}

func (h *Handler) deleteObject(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	if err := h.remove(ctx, q.bucket, q.key); err != nil {
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}

// remove takes an object away. One that is not there is no error.
func (h *Handler) remove(ctx context.Context, bucket, key string) error {
	o, err := h.Objects.Object(ctx, bucket, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.Objects.RemoveObject(ctx, bucket, key); err != nil {
		return err
	}
	return h.drop(context.WithoutCancel(ctx), o.Chunks...)
}
