package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

func TestAnObjectIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	const key, text = "dir/ü +?#&%2F ~(1)!'*.txt", "hello, world"
	_, err := c.PutObject(ctx, &sdk.PutObjectInput{
		Bucket: new("sources"), Key: new(key), Body: strings.NewReader(text), ContentType: new("text/plain"), CacheControl: new("no-cache"),
		Metadata: map[string]string{"commit": "3f9c2e1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new(key), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body) // which the SDK compares with the checksum
	if err != nil || string(body) != text {
		t.Errorf("%q %v", body, err)
	}
	etag := fmt.Sprintf("\"%x\"", md5.Sum([]byte(text)))
	if *got.ETag != etag || *got.ContentType != "text/plain" || *got.CacheControl != "no-cache" || got.Metadata["commit"] != "3f9c2e1" || got.ChecksumCRC32 == nil || *got.ContentLength != 12 {
		t.Errorf("got %+v", got)
	}
	head, err := c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: new("sources"), Key: new(key)})
	if err != nil || *head.ETag != etag || *head.ContentLength != 12 || time.Since(*head.LastModified) > time.Hour {
		t.Errorf("%v, head %+v", err, head)
	}
	// Another text takes its place, and the bytes of the first are gone.
	put(t, c, key, "other")
	if n := b.stored(t); n != 1 {
		t.Errorf("%d files are stored", n)
	}
	for range 2 { // the second time it is gone already
		if _, err := c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: new("sources"), Key: new(key)}); err != nil {
			t.Error(err)
		}
	}
	if n := b.stored(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
	_, err = c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new(key)})
	if _, ok := errors.AsType[*types.NoSuchKey](err); !ok {
		t.Errorf("error %v", err)
	}
	_, err = c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: new("sources"), Key: new(key)})
	if _, ok := errors.AsType[*types.NotFound](err); !ok {
		t.Errorf("error %v", err)
	}
}

func TestAPartOfAnObjectIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.sdk(operatorID, "")
	put(t, c, "digits", "0123456789")
	for asked, want := range map[string]string{
		"bytes=0-0": "0", "bytes=2-4": "234", "bytes=7-": "789", "bytes=7-99": "789", "bytes=-2": "89", "bytes=-99": "0123456789",
		"bytes=4-2": "0123456789", "lines=1-2": "0123456789", "bytes=1-2,4-5": "0123456789", "bytes=x-": "0123456789",
		"bytes=10-": "InvalidRange", "bytes=-0": "InvalidRange",
	} {
		got, err := c.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: new("sources"), Key: new("digits"), Range: &asked})
		text := codeOf(err)
		if err == nil {
			body, err := io.ReadAll(got.Body)
			if text = string(body); err != nil {
				t.Error(err)
			}
		}
		if text != want {
			t.Errorf("%s: %q, want %q", asked, text, want)
		}
	}
}

func TestConditionsOnAnObject(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	etag := put(t, c, "web.zip", "one").ETag
	other, past, future := new(`"00000000000000000000000000000000"`), new(time.Now().Add(-time.Hour)), new(time.Now().Add(time.Hour))
	for name, step := range map[string]struct {
		in   sdk.GetObjectInput
		want int
	}{
		"the same, if none is":    {sdk.GetObjectInput{IfNoneMatch: etag}, 304},
		"another, if none is":     {sdk.GetObjectInput{IfNoneMatch: other}, 200},
		"the same, if it is":      {sdk.GetObjectInput{IfMatch: etag}, 200},
		"another, if it is":       {sdk.GetObjectInput{IfMatch: other}, 412},
		"if changed since long":   {sdk.GetObjectInput{IfModifiedSince: past}, 200},
		"if changed since later":  {sdk.GetObjectInput{IfModifiedSince: future}, 304},
		"if the same since long":  {sdk.GetObjectInput{IfUnmodifiedSince: past}, 412},
		"if the same since later": {sdk.GetObjectInput{IfUnmodifiedSince: future}, 200},
	} {
		step.in.Bucket, step.in.Key = new("sources"), new("web.zip")
		got, err := c.GetObject(ctx, &step.in)
		status := 200
		var answer interface{ HTTPStatusCode() int }
		if errors.As(err, &answer) {
			status = answer.HTTPStatusCode()
		} else {
			got.Body.Close()
		}
		if status != step.want {
			t.Errorf("%s: %d, want %d", name, status, step.want)
		}
	}
	write := func(key string, none, match *string) string {
		_, err := c.PutObject(ctx, &sdk.PutObjectInput{Bucket: new("sources"), Key: &key, Body: strings.NewReader("two"), IfNoneMatch: none, IfMatch: match})
		return codeOf(err)
	}
	for _, step := range []struct{ got, want string }{
		{write("web.zip", new("*"), nil), "PreconditionFailed"}, {write("new.zip", new("*"), nil), ""},
		{write("web.zip", nil, other), "PreconditionFailed"}, {write("web.zip", nil, etag), ""},
	} {
		if step.got != step.want {
			t.Errorf("write: %q, want %q", step.got, step.want)
		}
	}
}

// TestWhatIsNotWhatItShouldBeIsNotKept has bodies that are not what their
// request says of them.
func TestWhatIsNotWhatItShouldBeIsNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Limits.Put = 1000 })
	c := b.sdk(operatorID, "")
	digest := func(text string) *string {
		sum := md5.Sum([]byte(text))
		return new(base64.StdEncoding.EncodeToString(sum[:]))
	}
	for want, in := range map[string]sdk.PutObjectInput{
		"BadDigest":        {Body: strings.NewReader("hello"), ContentMD5: digest("Hello")},
		"InvalidDigest":    {Body: strings.NewReader("hello"), ContentMD5: new("xyz")},
		"EntityTooLarge":   {Body: strings.NewReader(strings.Repeat("x", 1001))},
		"KeyTooLongError":  {Body: strings.NewReader("hello"), Key: new(strings.Repeat("k", 1025))},
		"NoSuchBucket":     {Body: strings.NewReader("hello"), Bucket: new("other")},
		"MetadataTooLarge": {Body: strings.NewReader("hello"), Metadata: map[string]string{"a": strings.Repeat("a", 5000)}},
	} {
		if in.Bucket == nil {
			in.Bucket = new("sources")
		}
		if in.Key == nil {
			in.Key = new("key")
		}
		if _, err := c.PutObject(t.Context(), &in); codeOf(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, sum := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		in := sdk.PutObjectInput{Bucket: new("sources"), Key: new("key"), Body: strings.NewReader("hello"), ChecksumAlgorithm: sum}
		if _, err := c.PutObject(t.Context(), &in); err != nil {
			t.Errorf("%s: %v", sum, err)
		}
		wrong := func(o *sdk.Options) { o.HTTPClient = changing{"X-Amz-Checksum-" + string(sum)} }
		in.Body = strings.NewReader("hello")
		if _, err := b.sdk(operatorID, "", wrong).PutObject(t.Context(), &in); codeOf(err) != "SignatureDoesNotMatch" {
			t.Errorf("a changed %s: %v", sum, err)
		}
	}
	in := sdk.PutObjectInput{Bucket: new("sources"), Key: new("key"), Body: strings.NewReader("hello"), ChecksumCRC32: new("AAAAAA==")}
	if _, err := c.PutObject(t.Context(), &in); codeOf(err) != "BadDigest" {
		t.Errorf("a wrong checksum: %v", err)
	}
	if n := b.stored(t); n != 1 {
		t.Errorf("%d files are stored", n)
	}
}

// changing changes a header on the way.
type changing struct{ header string }

func (c changing) Do(r *http.Request) (*http.Response, error) {
	if r.Header.Get(c.header) == "" {
		return nil, fmt.Errorf("there is no header %s", c.header)
	}
	r.Header.Set(c.header, "AAAAAA==")
	return http.DefaultClient.Do(r)
}

// TestACutUploadLeavesNothing ends a connection in the middle of a body.
func TestACutUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.sdk(operatorID, "", func(o *sdk.Options) { o.HTTPClient = cutting{} })
	_, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: new("sources"), Key: new("key"), Body: bytes.NewReader(make([]byte, 1<<20))})
	if err == nil {
		t.Error("half an object was taken")
	}
	b.server.Close() // which waits for the requests
	if _, err := b.db.Object(t.Context(), "sources", "key"); err == nil || b.stored(t) != 0 {
		t.Errorf("%v, and %d files are stored", err, b.stored(t))
	}
}

// cutting sends half of a body.
type cutting struct{}

func (cutting) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), failing{cancel}))
	return http.DefaultClient.Do(r)
}

type failing struct{ cancel func() }

func (f failing) Read([]byte) (int, error) {
	f.cancel()
	return 0, errors.New("the line is cut")
}

func TestCopiesShareTheirBytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	put(t, c, "a b", "text")
	for _, source := range []string{"sources/a%20b", "/sources/a%20b?versionId=null"} {
		if _, err := c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: new("sources"), Key: new("copy"), CopySource: &source}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.stored(t); n != 1 {
		t.Errorf("%d files are stored", n)
	}
	if _, err := c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: new("sources"), Key: new("a b")}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new("copy")})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "text" {
		t.Errorf("%q %v", body, err)
	}
	for _, source := range []string{"sources/none", "sources", "other/x"} {
		if _, err := c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: new("sources"), Key: new("copy"), CopySource: &source}); err == nil {
			t.Errorf("%s was copied", source)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	for _, key := range []string{"a", "b/1", "b/2", "b/c/3", "b-4", "ü", "z/"} {
		put(t, c, key, key)
	}
	for name, step := range map[string]struct {
		in   sdk.ListObjectsV2Input
		want string // keys, then groups
	}{
		"all":                 {sdk.ListObjectsV2Input{}, "a b-4 b/1 b/2 b/c/3 z/ ü |"},
		"groups":              {sdk.ListObjectsV2Input{Delimiter: new("/")}, "a b-4 ü | b/ z/"},
		"a group":             {sdk.ListObjectsV2Input{Delimiter: new("/"), Prefix: new("b/")}, "b/1 b/2 | b/c/"},
		"a prefix":            {sdk.ListObjectsV2Input{Prefix: new("b")}, "b-4 b/1 b/2 b/c/3 |"},
		"no such prefix":      {sdk.ListObjectsV2Input{Prefix: new("nope")}, " |"},
		"after a key":         {sdk.ListObjectsV2Input{StartAfter: new("b/1")}, "b/2 b/c/3 z/ ü |"},
		"another delimiter":   {sdk.ListObjectsV2Input{Delimiter: new("/c")}, "a b-4 b/1 b/2 z/ ü | b/c"},
		"in encoded keys":     {sdk.ListObjectsV2Input{Prefix: new("ü"), EncodingType: types.EncodingTypeUrl}, "%C3%BC |"},
		"groups after a key":  {sdk.ListObjectsV2Input{Delimiter: new("/"), StartAfter: new("b-4")}, "ü | b/ z/"},
		"a group that is key": {sdk.ListObjectsV2Input{Delimiter: new("/"), Prefix: new("z/")}, "z/ |"},
	} {
		for size := range int32(4) {
			var keys, groups []string
			step.in.Bucket, step.in.MaxKeys = new("sources"), new(size+1)
			pages := sdk.NewListObjectsV2Paginator(c, &step.in)
			for pages.HasMorePages() {
				out, err := pages.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(out.Contents) + len(out.CommonPrefixes); n > int(size+1) || n != int(*out.KeyCount) {
					t.Errorf("%s: a page of %d has %d, and says %d", name, size+1, n, *out.KeyCount)
				}
				for _, o := range out.Contents {
					keys = append(keys, *o.Key)
				}
				for _, p := range out.CommonPrefixes {
					groups = append(groups, *p.Prefix)
				}
			}
			if got := strings.TrimSuffix(strings.Join(keys, " ")+" | "+strings.Join(groups, " "), " "); got != step.want {
				t.Errorf("%s, pages of %d: %q, want %q", name, size+1, got, step.want)
			}
		}
	}
	t.Run("the first version of the call", func(t *testing.T) {
		var got []string
		marker := ""
		for {
			out, err := c.ListObjects(ctx, &sdk.ListObjectsInput{Bucket: new("sources"), Delimiter: new("/"), MaxKeys: new(int32(1)), Marker: &marker})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Contents {
				got = append(got, *o.Key)
			}
			for _, p := range out.CommonPrefixes {
				got = append(got, *p.Prefix)
			}
			if !*out.IsTruncated {
				break
			}
			marker = *out.NextMarker
		}
		if diff := cmp.Diff([]string{"a", "b-4", "b/", "z/", "ü"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("many are deleted at once", func(t *testing.T) {
		out, err := c.DeleteObjects(ctx, &sdk.DeleteObjectsInput{Bucket: new("sources"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: new("a")}, {Key: new("none")}, {Key: new("ü")}}}})
		if err != nil || len(out.Deleted) != 3 || len(out.Errors) != 0 {
			t.Errorf("%v, deleted %+v", err, out)
		}
		if n := b.stored(t); n != 5 {
			t.Errorf("%d files are left", n)
		}
	})
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(adminID, ""), t.Context()
	create := func(name string) string {
		_, err := c.CreateBucket(ctx, &sdk.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
		return codeOf(err)
	}
	remove := func(name string) string {
		_, err := c.DeleteBucket(ctx, &sdk.DeleteBucketInput{Bucket: &name})
		return codeOf(err)
	}
	put(t, c, "key", "text")
	for _, step := range []struct{ got, want string }{
		{create("api"), ""}, {create("api"), "BucketAlreadyOwnedByYou"}, {create("Upper"), "InvalidBucketName"}, {create(artifactBucket), "AccessDenied"},
		{remove("api"), ""}, {remove("api"), "NoSuchBucket"}, {remove("sources"), "BucketNotEmpty"}, {remove(artifactBucket), "AccessDenied"},
	} {
		if step.got != step.want {
			t.Errorf("%q, want %q", step.got, step.want)
		}
	}
	all, err := c.ListBuckets(ctx, &sdk.ListBucketsInput{})
	if err != nil || len(all.Buckets) != 2 || *all.Buckets[0].Name != "sources" || *all.Buckets[1].Name != artifactBucket {
		t.Errorf("%v, buckets %+v", err, all)
	}
	at, err := c.GetBucketLocation(ctx, &sdk.GetBucketLocationInput{Bucket: new("sources")})
	if err != nil || at.LocationConstraint != "eu-west-1" {
		t.Errorf("%v, location %+v", err, at)
	}
	if _, err := c.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: new("sources")}); err != nil {
		t.Error(err)
	}
	_, err = c.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: new("none")})
	if _, ok := errors.AsType[*types.NotFound](err); !ok {
		t.Errorf("error %v", err)
	}
	if _, err := c.GetBucketAcl(ctx, &sdk.GetBucketAclInput{Bucket: new("sources")}); codeOf(err) != "NotImplemented" {
		t.Errorf("error %v", err)
	}
}
