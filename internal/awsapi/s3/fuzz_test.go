package s3

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"testing"

	"github.com/towline/towline/internal/store"
)

// FuzzStretch holds that what is read of an object lies within it, whatever a
// client asks for.
func FuzzStretch(f *testing.F) {
	for _, text := range []string{"bytes=0-", "bytes=1-2", "bytes=-3", "bytes=-", "bytes=5-2", "bytes=0-0,2-3", "bytes=9223372036854775807-", "bytes=-9223372036854775808", "lines=1-2", ""} {
		f.Add(text, "", int64(7), int64(0))
		f.Add(text, "2", int64(7), int64(5))
	}
	f.Fuzz(func(t *testing.T, asked, part string, first, second int64) {
		first, second = first&(1<<40-1), second&(1<<40-1)
		o := store.Object{Size: first + second, Chunks: []store.Chunk{{Size: first}}}
		if second > 0 {
			o.Chunks = append(o.Chunks, store.Chunk{Size: second})
		}
		q := &request{r: &http.Request{Header: http.Header{"Range": {asked}}}, query: url.Values{"partNumber": {part}}}
		got, err := q.stretch(o)
		if err != nil {
			return
		}
		if got.offset < 0 || got.length < 0 || got.offset+got.length > o.Size {
			t.Errorf("%q, part %q, of %d and %d bytes: %+v", asked, part, first, second, got)
		}
		if !got.partial && got.length != o.Size {
			t.Errorf("%q, part %q, of %d and %d bytes: %+v is not all of it, and is said to be", asked, part, first, second, got)
		}
	})
}

// FuzzWhere holds that a request is about a bucket that may be, and a key that
// the database can hold.
func FuzzWhere(f *testing.F) {
	for _, at := range [][2]string{
		{"127.0.0.1:8480", "/sources/web/app.zip"}, {"sources.towline.example.com", "/web/app.zip"}, {"towline.example.com:443", "/"},
		{"..towline.example.com", "/x"}, {"SOURCES.TOWLINE.example.com:1", "//a//b"}, {"[::1]:80", "/sources/../other/%00"}, {"", ""},
	} {
		f.Add(at[0], at[1])
	}
	h := &Handler{Config: Config{Domains: []string{"towline.example.com"}}}
	f.Fuzz(func(t *testing.T, host, path string) {
		bucket, key, err := h.where(&http.Request{Host: host, URL: &url.URL{Path: path}})
		if err != nil {
			if fault, known := faultOf(err); !known || fault.Status != http.StatusBadRequest {
				t.Errorf("%q %q: %v", host, path, err)
			}
			return
		}
		if bucket != "" && !bucketForm.MatchString(bucket) || checkKey(key) != nil {
			t.Errorf("%q %q is about %q in %q", host, path, key, bucket)
		}
	})
}

// FuzzDocuments holds that what is read of a request's XML says the same when
// it is written again.
func FuzzDocuments(f *testing.F) {
	for _, text := range []string{
		`<Delete><Object><Key>a/b</Key></Object><Object><Key>c</Key></Object><Quiet>true</Quiet></Delete>`,
		`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`,
		`<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>`, `<Delete>`, `<Delete/><Delete/>`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		again[deletion](t, text, func(a, b deletion) bool {
			return a.Quiet == b.Quiet && len(a.Objects) == len(b.Objects)
		})
		again[completion](t, text, func(a, b completion) bool { return len(a.Parts) == len(b.Parts) })
	})
}

// again reads a document, writes it and reads that.
func again[T any](t *testing.T, text []byte, same func(a, b T) bool) {
	t.Helper()
	var first, second T
	if xml.Unmarshal(text, &first) != nil {
		return
	}
	written, err := xml.Marshal(first)
	if err != nil {
		t.Fatalf("%q was read as %+v, but: %v", text, first, err)
	}
	if err := xml.Unmarshal(written, &second); err != nil || !same(first, second) {
		t.Errorf("%q became %q: %+v, %v", text, written, second, err)
	}
}
