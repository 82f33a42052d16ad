package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/store"
)

// stretch is a run of bytes of an object.
type stretch struct {
	offset, length int64
	partial        bool // it was asked for, so that the answer says so
}

// getObject answers GET and HEAD of an object.
func (h *Handler) getObject(ctx context.Context, q *request) error {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return err
	}
	o, part, in, err := h.find(ctx, q)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	q.describe(o, part)
	if q.r.Method == http.MethodHead {
		q.WriteHeader(part.status())
		return nil
	}
	q.WriteHeader(part.status())
	if err := in.copyTo(q.ResponseWriter); err != nil {
		h.Logger.Debug("send object", "bucket", q.bucket, "key", q.key, "error", err)
		panic(http.ErrAbortHandler) // The client must see that it is not whole.
	}
	return nil
}

// objectTagging answers GetObjectTagging: there are no tags. The aws command asks
// before it copies an object in parts.
type objectTagging struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	TagSet  struct{}
}

func (h *Handler) tagging(ctx context.Context, q *request) error {
	if _, err := h.Objects.Object(ctx, q.bucket, q.key); err != nil {
		return err
	}
	answer(q, http.StatusOK, objectTagging{})
	return nil
}

// find looks an object up and opens its bytes. When they are gone, it was
// replaced in between, and is looked up again.
func (h *Handler) find(ctx context.Context, q *request) (o store.Object, part stretch, in *reading, err error) {
	for range 3 {
		if o, err = h.Objects.Object(ctx, q.bucket, q.key); err != nil {
			return o, part, nil, err
		}
		if err = q.conditions(o); err != nil {
			q.Header().Set("ETag", quoted(o.ETag))
			return o, part, nil, err
		}
		if part, err = q.stretch(o); err != nil {
			return o, part, nil, err
		}
		if in, err = h.open(ctx, o, part); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return o, part, in, err
}

func (s stretch) status() int {
	if s.partial {
		return http.StatusPartialContent
	}
	return http.StatusOK
}

// describe writes the headers of an object.
func (q *request) describe(o store.Object, part stretch) {
	header := q.Header()
	header.Set("Content-Type", "binary/octet-stream")
	for name, value := range o.Headers {
		if !strings.HasPrefix(name, checksumHeader) {
			header.Set(name, value)
		}
	}
	for _, name := range kept {
		if value := q.query.Get("response-" + strings.ToLower(name)); value != "" {
			header.Set(name, value)
		}
	}
	if q.asked("X-Amz-Checksum-Mode") != "" && !part.partial {
		sayChecksum(header, o)
	}
	header.Set("ETag", quoted(o.ETag))
	header.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.FormatInt(part.length, 10))
	// Nothing that somebody has uploaded runs as a page of this server.
	header.Set("Content-Security-Policy", "sandbox")
	header.Set("X-Content-Type-Options", "nosniff")
	if part.partial {
		header.Set("Content-Range", "bytes "+strconv.FormatInt(part.offset, 10)+"-"+strconv.FormatInt(part.offset+part.length-1, 10)+"/"+strconv.FormatInt(o.Size, 10))
	}
	if q.query.Has("partNumber") && len(o.Chunks) > 1 {
		header.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(o.Chunks)))
	}
}

// conditions are the request's on what the object is now.
func (q *request) conditions(o store.Object) error {
	modified := o.Modified.Truncate(time.Second)
	at := func(name string) (time.Time, bool) {
		t, err := http.ParseTime(q.asked(name))
		return t, err == nil
	}
	if match := q.asked("If-Match"); match != "" {
		if !matches(match, o.ETag) {
			return precondition()
		}
	} else if since, ok := at("If-Unmodified-Since"); ok && modified.After(since) {
		return precondition()
	}
	unchanged := &Fault{Status: http.StatusNotModified}
	if none := q.asked("If-None-Match"); none != "" {
		if matches(none, o.ETag) {
			return unchanged
		}
	} else if since, ok := at("If-Modified-Since"); ok && !modified.After(since) {
		return unchanged
	}
	return nil
}

func precondition() *Fault {
	return faultf(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

// matches compares an ETag with those of a header, which are quoted or not.
func matches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.Trim(strings.TrimPrefix(strings.TrimSpace(one), "W/"), `"`)
		if one == "*" || one == etag {
			return true
		}
	}
	return false
}

// stretch is what the request wants of an object: all, a range, or a part.
func (q *request) stretch(o store.Object) (stretch, error) {
	whole := stretch{length: o.Size}
	unsatisfiable := faultf(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	if text := q.query.Get("partNumber"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > max(1, len(o.Chunks)) {
			return whole, faultf(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The requested partnumber is not satisfiable")
		}
		for i, c := range o.Chunks[:min(n, len(o.Chunks))] {
			if i == n-1 {
				whole.length, whole.partial = c.Size, len(o.Chunks) > 1
				break
			}
			whole.offset += c.Size
		}
		return whole, nil
	}
	spec, ok := strings.CutPrefix(q.asked("Range"), "bytes=")
	first, last, found := strings.Cut(spec, "-")
	if !ok || !found || strings.Contains(last, ",") {
		return whole, nil // As in AWS, what is no range of bytes asks for all.
	}
	if first == "" {
		n := min(number(last), o.Size)
		if n == 0 {
			return whole, unsatisfiable
		}
		if n > 0 {
			whole = stretch{o.Size - n, n, true}
		}
		return whole, nil
	}
	from, to := number(first), o.Size-1
	if last != "" {
		to = number(last)
	}
	switch {
	case from < 0, to < 0 && o.Size > 0, last != "" && to < from:
		return whole, nil
	case from >= o.Size:
		return whole, unsatisfiable
	}
	return stretch{from, min(to, o.Size-1) - from + 1, true}, nil
}

// number is a number of bytes in a range, -1 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// reading are the bytes of a stretch of an object, chunk after chunk.
type reading struct {
	pieces []piece // that are left, the one that is open included
	next   func(piece) (io.ReadCloser, error)
	now    io.ReadCloser // of pieces[0], or nil when it is not open
}

// piece is a run of bytes within one chunk.
type piece struct {
	digest         string
	offset, length int64
}

// open finds the bytes of a stretch. The first of them are there when it returns.
func (h *Handler) open(ctx context.Context, o store.Object, part stretch) (*reading, error) {
	from, chunks := Opener(h.Bytes), o.Chunks
	if o.Artifact != "" {
		from, chunks = h.Artifacts, []store.Chunk{{Digest: o.Artifact, Size: o.Size}}
	}
	r := &reading{next: func(p piece) (io.ReadCloser, error) { return from.OpenAt(ctx, p.digest, p.offset, p.length) }}
	offset, left := part.offset, part.length
	for _, c := range chunks {
		if offset >= c.Size {
			offset -= c.Size
			continue
		}
		n := min(left, c.Size-offset)
		if n > 0 {
			r.pieces = append(r.pieces, piece{c.Digest, offset, n})
		}
		offset, left = 0, left-n
	}
	if left > 0 {
		return nil, errors.New("the object has fewer bytes than it should have")
	}
	return r, r.begin()
}

// begin opens the next piece, if there is one.
func (r *reading) begin() (err error) {
	if r.now == nil && len(r.pieces) > 0 {
		r.now, err = r.next(r.pieces[0])
	}
	return err
}

// end closes the piece that is open.
func (r *reading) end() error {
	err := r.now.Close()
	r.now, r.pieces = nil, r.pieces[1:]
	return err
}

// copyTo sends the bytes. A file is sent by the kernel where that is possible.
func (r *reading) copyTo(w io.Writer) error {
	for len(r.pieces) > 0 {
		if err := r.begin(); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r.now, r.pieces[0].length); err != nil {
			return err
		}
		if err := r.end(); err != nil {
			return err
		}
	}
	return nil
}

// Read reads the bytes.
func (r *reading) Read(p []byte) (int, error) {
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	if err := r.begin(); err != nil {
		return 0, err
	}
	of := &r.pieces[0]
	n, err := r.now.Read(p[:min(int64(len(p)), of.length)])
	if of.length -= int64(n); of.length == 0 {
		return n, r.end()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close releases what was not read.
func (r *reading) Close() error {
	if r == nil || r.now == nil {
		return nil
	}
	return r.end()
}
