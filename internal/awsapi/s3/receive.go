package s3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's ETags are made of it; nothing is trusted for it
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"

	"github.com/towline/towline/internal/awsapi/sigv4"
	"github.com/towline/towline/internal/store"
)

// received are bytes that were taken in, which nothing refers to yet.
type received struct {
	chunk    store.Chunk
	etag     string
	checksum checksum
}

// receive takes a request's body in. Nothing of it is kept unless all that the
// client has said of it is true: its length, its digests and its signatures.
func (h *Handler) receive(ctx context.Context, q *request) (received, error) {
	length, err := q.length()
	switch {
	case err != nil:
		return received{}, err
	case length > h.Limits.Put:
		return received{}, tooLarge()
	}
	wanted, err := q.contentMD5()
	if err != nil {
		return received{}, err
	}
	sum, err := q.announced()
	if err != nil {
		return received{}, err
	}
	body, err := q.body()
	if err != nil {
		return received{}, err
	}
	in := &intake{in: body, left: length, md5: md5.New(), checksum: sum} //nolint:gosec // see above
	in.finish = func() error {
		if wanted != nil && !bytes.Equal(wanted, in.md5.Sum(nil)) {
			return faultf(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
		return sum.check(body.Trailer)
	}
	return h.take(ctx, in)
}

// take stores what an intake reads.
func (h *Handler) take(ctx context.Context, in *intake) (received, error) {
	digest, size, err := h.Bytes.Receive(ctx, in)
	if err != nil {
		return received{}, err
	}
	return received{store.Chunk{Digest: digest, Size: size}, hex.EncodeToString(in.md5.Sum(nil)), in.checksum}, nil
}

func tooLarge() *Fault {
	return faultf(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
}

// length is how many bytes the body has without what frames its chunks.
func (q *request) length() (int64, error) {
	if !sigv4.Chunked(q.digest) {
		if q.r.ContentLength < 0 {
			return 0, faultf(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
		}
		return q.r.ContentLength, nil
	}
	length, err := strconv.ParseInt(q.asked(decodedLength), 10, 64)
	if err != nil || length < 0 {
		return 0, faultf(http.StatusLengthRequired, "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	return length, nil
}

// intake reads exactly as many bytes as there should be, sums them up, and ends
// with an error unless finish has none.
type intake struct {
	in       io.Reader
	left     int64
	md5      hash.Hash
	checksum checksum
	finish   func() error
}

func (i *intake) Read(p []byte) (int, error) {
	n, err := i.in.Read(p)
	if i.left -= int64(n); i.left < 0 {
		return 0, incomplete()
	}
	i.md5.Write(p[:n])
	if i.checksum.sum != nil {
		i.checksum.sum.Write(p[:n])
	}
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if i.left > 0 {
		return n, incomplete()
	}
	if i.finish != nil {
		if err := i.finish(); err != nil {
			return n, err
		}
	}
	return n, io.EOF
}

// refer lets an object, an upload or a part refer to bytes that were taken in,
// and removes them when save fails.
func (h *Handler) refer(ctx context.Context, save func() error, chunks []store.Chunk) error {
	h.held.Lock()
	err := h.there(ctx, chunks)
	if err == nil {
		err = save()
	}
	h.held.Unlock()
	if err != nil {
		err = errors.Join(err, h.drop(context.WithoutCancel(ctx), chunks...))
	}
	return err
}

// there is an error unless the bytes are there: those that are the same as an
// object's that was just deleted may be gone again.
func (h *Handler) there(ctx context.Context, chunks []store.Chunk) error {
	for _, c := range chunks {
		f, err := h.Bytes.OpenAt(ctx, c.Digest, 0, 0)
		if err != nil {
			return faultf(http.StatusServiceUnavailable, "SlowDown", "Please try again: what you sent was being deleted.")
		}
		_ = f.Close()
	}
	return nil
}

// drop removes the bytes that nothing refers to any more.
func (h *Handler) drop(ctx context.Context, chunks ...store.Chunk) error {
	digests := make([]string, 0, len(chunks))
	for _, c := range chunks {
		digests = append(digests, c.Digest)
	}
	h.held.Lock()
	defer h.held.Unlock()
	unused, err := h.Objects.Unused(ctx, digests)
	for _, digest := range unused {
		err = errors.Join(err, h.Bytes.Remove(ctx, digest))
	}
	return err
}
