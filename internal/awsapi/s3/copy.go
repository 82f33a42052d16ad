package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETags are made of it; nothing is trusted for it
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/store"
)

// origin is the object that a request wants copied, if who asks may read it.
func (h *Handler) origin(ctx context.Context, q *request) (store.Object, error) {
	text, version, _ := strings.Cut(q.asked("X-Amz-Copy-Source"), "?versionId=")
	text, err := url.PathUnescape(text)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(text, "/"), "/")
	if err != nil || !ok || key == "" || checkKey(key) != nil || version != "" && version != "null" {
		return store.Object{}, invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if s := q.verified.Key.Session; s != nil && !s.Scope.MayRead(access.Object{Bucket: bucket, Key: key}) {
		return store.Object{}, denied("the session is for other objects.")
	}
	if s := q.verified.Key; s.Session == nil && !s.Role.Allows(client.Viewer) {
		return store.Object{}, denied("the access key may not read.")
	}
	return h.Objects.Object(ctx, bucket, key)
}

// copyResult answers a copy.
type copyResult struct {
	XMLName      xml.Name
	LastModified string
	ETag         string
}

// copyObject makes another object of the same bytes: none are copied.
func (h *Handler) copyObject(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	from, err := h.origin(ctx, q)
	if err != nil {
		return err
	}
	o := from
	o.Bucket, o.Key, o.Headers, o.Modified = q.bucket, q.key, maps.Clone(from.Headers), h.Now()
	if strings.EqualFold(q.asked("X-Amz-Metadata-Directive"), "REPLACE") {
		if o.Headers, err = q.headers(); err != nil {
			return err
		}
		for name, value := range from.Headers {
			if strings.HasPrefix(name, checksumHeader) {
				o.Headers[name] = value
			}
		}
	}
	if err := h.replace(ctx, q, o, func() error { return h.Objects.PutObject(ctx, o) }); err != nil {
		return err
	}
	answer(q, http.StatusOK, copyResult{XMLName: xml.Name{Local: "CopyObjectResult"}, LastModified: stamp(o.Modified), ETag: quoted(o.ETag)})
	return nil
}

// copyPart makes a part of an upload out of another object, or of a range of it.
func (h *Handler) copyPart(ctx context.Context, q *request) error {
	u, number, err := h.part(ctx, q)
	if err != nil {
		return err
	}
	from, err := h.origin(ctx, q)
	if err != nil {
		return err
	}
	of := stretch{length: from.Size}
	if text := q.asked("X-Amz-Copy-Source-Range"); text != "" {
		ranged := &request{r: &http.Request{Header: http.Header{"Range": {text}}}}
		if of, err = ranged.stretch(from); err != nil || !of.partial {
			return invalid("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
	}
	if of.length > h.Limits.Put {
		return tooLarge()
	}
	in, err := h.open(ctx, from, of)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	taking := &intake{in: in, left: of.length, md5: md5.New()} //nolint:gosec // see above
	if name := u.Headers[checksumAlgorithm]; name != "" {
		if taking.checksum, err = newChecksum(name); err != nil {
			return err
		}
	}
	got, err := h.take(ctx, taking)
	if err != nil {
		return err
	}
	p, err := h.keepPart(ctx, u, number, got)
	if err != nil {
		return err
	}
	answer(q, http.StatusOK, copyResult{XMLName: xml.Name{Local: "CopyPartResult"}, LastModified: stamp(p.At), ETag: quoted(p.ETag)})
	return nil
}
