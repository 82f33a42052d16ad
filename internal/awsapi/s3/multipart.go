package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETags are made of it; nothing is trusted for it
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/store"
)

// maxParts is how many parts an upload may have, as in AWS.
const maxParts = 10_000

// initiated answers who begins an upload.
type initiated struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

func (h *Handler) createUpload(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	headers, err := q.headers()
	if err != nil {
		return err
	}
	if name := q.asked(checksumAlgorithm); name != "" {
		c, err := newChecksum(name)
		if err != nil {
			return err
		}
		kind := strings.ToUpper(q.asked(checksumType))
		if kind == "" {
			kind = map[bool]string{true: "FULL_OBJECT", false: "COMPOSITE"}[c.name == "crc64nvme"]
		}
		headers[checksumAlgorithm], headers[checksumType] = strings.ToUpper(name), kind
		q.Header().Set(checksumAlgorithm, strings.ToUpper(name))
		q.Header().Set(checksumType, kind)
	}
	u := store.Upload{ID: rand.Text() + rand.Text(), Bucket: q.bucket, Key: q.key, Headers: headers, Owner: q.verified.Key.ID, Started: h.Now()}
	if err := h.Objects.AddUpload(ctx, u); err != nil {
		return err
	}
	answer(q, http.StatusOK, initiated{Bucket: u.Bucket, Key: u.Key, UploadID: u.ID})
	return nil
}

// upload finds the upload that a request names. It must be to this object: the
// id alone opens nothing.
func (h *Handler) upload(ctx context.Context, q *request) (store.Upload, error) {
	u, err := h.Objects.Upload(ctx, q.query.Get("uploadId"))
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.Bucket != q.bucket || u.Key != q.key) {
		return u, noUpload()
	}
	return u, err
}

// part finds the upload and the number of the part that a request names.
func (h *Handler) part(ctx context.Context, q *request) (u store.Upload, number int, err error) {
	number, err = strconv.Atoi(q.query.Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return u, 0, invalid("Part number must be an integer between 1 and %d, inclusive", maxParts)
	}
	u, err = h.upload(ctx, q)
	return u, number, err
}

func (h *Handler) putPart(ctx context.Context, q *request) error {
	u, number, err := h.part(ctx, q)
	if err != nil {
		return err
	}
	got, err := h.receive(ctx, q)
	if err != nil {
		return err
	}
	p, err := h.keepPart(ctx, u, number, got)
	if err != nil {
		return err
	}
	if got.checksum.name != "" {
		q.Header().Set(got.checksum.header(), p.Checksum)
	}
	q.Header().Set("ETag", quoted(p.ETag))
	q.WriteHeader(http.StatusOK)
	return nil
}

// keepPart lets the upload refer to what was taken in, in place of the part that
// had the number.
func (h *Handler) keepPart(ctx context.Context, u store.Upload, number int, got received) (store.Part, error) {
	p := store.Part{Number: number, Chunk: got.chunk, ETag: got.etag, At: h.Now()}
	if got.checksum.name != "" {
		p.Checksum = got.checksum.value()
	}
	var before []store.Chunk
	err := h.refer(ctx, func() (err error) {
		before, err = h.Objects.PutPart(ctx, u.ID, p)
		return err
	}, []store.Chunk{got.chunk})
	if errors.Is(err, store.ErrNotFound) {
		err = noUpload() // It has ended meanwhile.
	}
	return p, errors.Join(err, h.drop(context.WithoutCancel(ctx), before...))
}

// completion is what completes an upload, and completed answers it.
type (
	completion struct {
		XMLName xml.Name         `xml:"CompleteMultipartUpload"`
		Parts   []completionPart `xml:"Part"`
	}
	completionPart struct {
		PartNumber                                                                     int
		ETag                                                                           string
		ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 string
	}
	completed struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string

		ChecksumCRC32     string `xml:",omitempty"`
		ChecksumCRC32C    string `xml:",omitempty"`
		ChecksumCRC64NVME string `xml:",omitempty"`
		ChecksumSHA1      string `xml:",omitempty"`
		ChecksumSHA256    string `xml:",omitempty"`
		ChecksumType      string `xml:",omitempty"`
	}
)

// given is the checksum that a client repeats of a part.
func (p completionPart) given() string {
	return p.ChecksumCRC32 + p.ChecksumCRC32C + p.ChecksumCRC64NVME + p.ChecksumSHA1 + p.ChecksumSHA256
}

func (h *Handler) completeUpload(ctx context.Context, q *request) error {
	u, err := h.upload(ctx, q)
	if err != nil {
		return err
	}
	var wanted completion
	if err := q.document(&wanted); errors.Is(err, errNoDocument) || err == nil && len(wanted.Parts) == 0 {
		return malformed()
	} else if err != nil {
		return err
	}
	all, err := h.Objects.Parts(ctx, u.ID)
	if err != nil {
		return err
	}
	chosen, err := h.choose(wanted.Parts, all)
	if err != nil {
		return err
	}
	o, err := h.assemble(u, chosen)
	if err != nil {
		return err
	}
	if err := h.sumUp(ctx, q, &o, chosen); err != nil {
		return err
	}
	err = h.replace(ctx, q, o, func() error { return h.Objects.CompleteUpload(ctx, u.ID, o) })
	if errors.Is(err, store.ErrNotFound) {
		return noUpload()
	}
	if err != nil {
		return err
	}
	// Parts that were uploaded and not chosen belong to nothing now.
	if err := h.drop(context.WithoutCancel(ctx), chunksOf(all)...); err != nil {
		return err
	}
	answer(q, http.StatusOK, completed{
		Location: "/" + o.Bucket + "/" + o.Key, Bucket: o.Bucket, Key: o.Key, ETag: quoted(o.ETag),
		ChecksumCRC32: o.Headers[checksumHeader+"Crc32"], ChecksumCRC32C: o.Headers[checksumHeader+"Crc32c"], ChecksumCRC64NVME: o.Headers[checksumHeader+"Crc64nvme"],
		ChecksumSHA1: o.Headers[checksumHeader+"Sha1"], ChecksumSHA256: o.Headers[checksumHeader+"Sha256"], ChecksumType: o.Headers[checksumType],
	})
	return nil
}

func chunksOf(parts []store.Part) []store.Chunk {
	chunks := make([]store.Chunk, 0, len(parts))
	for _, p := range parts {
		chunks = append(chunks, p.Chunk)
	}
	return chunks
}

// choose finds the parts that a client wants, in its order, which must be theirs.
func (h *Handler) choose(wanted []completionPart, all []store.Part) (chosen []store.Part, err error) {
	byNumber := map[int]store.Part{}
	for _, p := range all {
		byNumber[p.Number] = p
	}
	last := 0
	for i, w := range wanted {
		if w.PartNumber <= last {
			return nil, faultf(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. The parts list must be specified in order by part number.")
		}
		last = w.PartNumber
		p, ok := byNumber[w.PartNumber]
		if !ok || strings.Trim(w.ETag, `"`) != p.ETag || w.given() != "" && w.given() != p.Checksum {
			return nil, faultf(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.")
		}
		if i < len(wanted)-1 && p.Chunk.Size < h.Limits.Part {
			return nil, faultf(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// assemble is the object that the parts make.
func (h *Handler) assemble(u store.Upload, parts []store.Part) (store.Object, error) {
	o := store.Object{Bucket: u.Bucket, Key: u.Key, Headers: map[string]string{}, Modified: h.Now(), Chunks: chunksOf(parts)}
	for name, value := range u.Headers {
		if name != checksumAlgorithm && name != checksumType {
			o.Headers[name] = value
		}
	}
	sum := md5.New() //nolint:gosec // see above
	for _, p := range parts {
		o.Size += p.Chunk.Size
		raw, err := hex.DecodeString(p.ETag)
		if err != nil {
			return o, fmt.Errorf("read ETag of part %d of upload %s: %w", p.Number, u.ID, err)
		}
		sum.Write(raw)
	}
	if o.Size > h.Limits.Object {
		return o, tooLarge()
	}
	o.ETag = fmt.Sprintf("%x-%d", sum.Sum(nil), len(parts))
	return o, nil
}

// sumUp gives an object in parts the checksum that its upload was begun with. One
// of the parts' checksums is made of these; one of the whole object is made only
// when the client gives one to compare with, for it takes reading all bytes.
func (h *Handler) sumUp(ctx context.Context, q *request, o *store.Object, parts []store.Part) error {
	u, err := h.upload(ctx, q)
	name := u.Headers[checksumAlgorithm]
	if err != nil || name == "" {
		return err
	}
	c, err := newChecksum(name)
	if err != nil {
		return err
	}
	c.want = q.asked(c.header())
	value := c.want
	switch {
	case u.Headers[checksumType] == "COMPOSITE":
		sums := make([]string, 0, len(parts))
		for _, p := range parts {
			sums = append(sums, p.Checksum)
		}
		if value, err = composite(name, sums); err != nil {
			return err
		}
		if c.want != "" && strings.Split(c.want, "-")[0] != strings.Split(value, "-")[0] {
			return faultf(http.StatusBadRequest, "BadDigest", "The %s you specified did not match the calculated checksum.", name)
		}
	case c.want == "":
		return nil
	default:
		in, err := h.open(ctx, *o, stretch{length: o.Size})
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		if _, err := io.Copy(c.sum, in); err != nil {
			return err
		}
		if err := c.check(nil); err != nil {
			return err
		}
	}
	o.Headers[c.header()], o.Headers[checksumType] = value, u.Headers[checksumType]
	return nil
}

func (h *Handler) abortUpload(ctx context.Context, q *request) error {
	u, err := h.upload(ctx, q)
	if err != nil {
		return err
	}
	if err := h.giveUp(ctx, u.ID); errors.Is(err, store.ErrNotFound) {
		return noUpload()
	} else if err != nil {
		return err
	}
	q.WriteHeader(http.StatusNoContent)
	return nil
}

// giveUp forgets an upload and its parts.
func (h *Handler) giveUp(ctx context.Context, id string) error {
	parts, err := h.Objects.Parts(ctx, id)
	if err != nil {
		return err
	}
	if err := h.Objects.RemoveUpload(ctx, id); err != nil {
		return err
	}
	return h.drop(context.WithoutCancel(ctx), chunksOf(parts)...)
}
