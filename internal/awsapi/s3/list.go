package s3

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/store"
)

// maxKeys is how many keys a page has at most.
const maxKeys = 1000

// stamp is S3's form of an instant in documents.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// listing answers ListObjects and ListObjectsV2, of which each has members of
// its own.
type listing struct {
	XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name           string
	Prefix         string
	Delimiter      string `xml:",omitempty"`
	MaxKeys        int
	EncodingType   string `xml:",omitempty"`
	IsTruncated    bool
	Contents       []listed
	CommonPrefixes []commonPrefix

	Marker     *string `xml:",omitempty"` // of the first version
	NextMarker string  `xml:",omitempty"`

	KeyCount              *int   `xml:",omitempty"` // of the second
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
}

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type owner struct {
	ID          string
	DisplayName string
}

type commonPrefix struct{ Prefix string }

// page is one page of a list: objects and, with a delimiter, what groups of them
// have in common.
type page struct {
	objects  []store.Object
	prefixes []string
	next     string // where the next page begins, "" for nowhere
	last     string // what the page ends with
}

// walk lists a bucket from a key on. A group is passed over in one step, however
// many objects it has.
func (h *Handler) walk(ctx context.Context, q *request, from, delimiter string, most int) (p page, err error) {
	prefix := q.query.Get("prefix")
	for {
		left := most - len(p.objects) - len(p.prefixes)
		found, err := h.Objects.Objects(ctx, q.bucket, prefix, from, left+1)
		if err != nil {
			return p, err
		}
		passed := false
		for i, o := range found {
			if len(p.objects)+len(p.prefixes) == most {
				p.next = o.Key
				return p, nil
			}
			inner, _, grouped := "", "", false
			if delimiter != "" {
				inner, _, grouped = strings.Cut(o.Key[len(prefix):], delimiter)
			}
			if !grouped {
				p.objects, p.last, from = append(p.objects, o), o.Key, o.Key+"\x00"
				continue
			}
			group := prefix + inner + delimiter
			p.prefixes, p.last, from = append(p.prefixes, group), group, group+"\xff"
			if passed = i < len(found)-1; passed {
				break
			}
		}
		if !passed && len(found) <= left {
			return p, nil
		}
	}
}

// size is how many entries the client wants.
func (q *request) size(name string) (int, error) {
	text := q.query.Get(name)
	if text == "" {
		return maxKeys, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalid("Provided %s not an integer or within integer range", name)
	}
	return min(n, maxKeys), nil
}

// after is the first key behind one that a list goes on from: behind the whole
// group when it is one's name.
func after(key, delimiter string) string {
	switch {
	case key == "":
		return ""
	case delimiter != "" && strings.HasSuffix(key, delimiter):
		return key + "\xff"
	}
	return key + "\x00"
}

// list fills what both versions have in common.
func (h *Handler) list(ctx context.Context, q *request, from string, withOwner bool) (out listing, p page, err error) {
	if err := h.hasBucket(ctx, q.bucket); err != nil {
		return out, p, err
	}
	out.Name, out.Prefix, out.Delimiter, out.EncodingType = q.bucket, q.query.Get("prefix"), q.query.Get("delimiter"), q.query.Get("encoding-type")
	if out.EncodingType != "" && out.EncodingType != "url" {
		return out, p, invalid("Invalid Encoding Method specified in Request")
	}
	if out.MaxKeys, err = q.size("max-keys"); err != nil {
		return out, p, err
	}
	if out.MaxKeys > 0 {
		if p, err = h.walk(ctx, q, from, out.Delimiter, out.MaxKeys); err != nil {
			return out, p, err
		}
	}
	out.IsTruncated = p.next != ""
	text := func(s string) string { return s }
	if out.EncodingType == "url" {
		text = func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "%2F", "/"), "+", "%20")
		}
		out.Prefix, out.Delimiter = text(out.Prefix), text(out.Delimiter)
	}
	for _, o := range p.objects {
		one := listed{Key: text(o.Key), LastModified: stamp(o.Modified), ETag: quoted(o.ETag), Size: o.Size, StorageClass: "STANDARD"}
		if withOwner {
			one.Owner = theOwner()
		}
		out.Contents = append(out.Contents, one)
	}
	for _, prefix := range p.prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{text(prefix)})
	}
	return out, p, nil
}

func theOwner() *owner { return &owner{ID: "towline", DisplayName: "towline"} }

func (h *Handler) listObjects(ctx context.Context, q *request) error {
	marker := q.query.Get("marker")
	out, p, err := h.list(ctx, q, after(marker, q.query.Get("delimiter")), true)
	if err != nil {
		return err
	}
	out.Marker = &marker
	if out.IsTruncated && out.Delimiter != "" {
		if out.NextMarker = p.last; out.EncodingType == "url" {
			out.NextMarker = url.QueryEscape(p.last)
		}
	}
	answer(q, http.StatusOK, out)
	return nil
}

func (h *Handler) listObjectsV2(ctx context.Context, q *request) error {
	if q.query.Get("list-type") != "2" {
		return invalid("Invalid List Type specified in Request")
	}
	start, token := q.query.Get("start-after"), q.query.Get("continuation-token")
	from := after(start, "")
	if q.query.Has("continuation-token") {
		place, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(place) == 0 {
			return invalid("The continuation token provided is incorrect")
		}
		from = string(place)
	}
	out, p, err := h.list(ctx, q, from, q.query.Get("fetch-owner") == "true")
	if err != nil {
		return err
	}
	out.StartAfter, out.ContinuationToken, out.KeyCount = start, token, new(len(p.objects)+len(p.prefixes))
	if out.IsTruncated {
		out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(p.next))
	}
	answer(q, http.StatusOK, out)
	return nil
}
