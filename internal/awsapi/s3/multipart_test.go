package s3

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/towline/towline/internal/store"
)

// upload is one in parts that a test makes.
type upload struct {
	*testing.T
	c     *sdk.Client
	id    *string
	parts []types.CompletedPart
}

func beginUpload(t *testing.T, c *sdk.Client, sum types.ChecksumAlgorithm, kind types.ChecksumType) *upload {
	t.Helper()
	out, err := c.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: new("sources"), Key: new("large"), ChecksumAlgorithm: sum, ChecksumType: kind, ContentType: new("text/plain")})
	if err != nil {
		t.Fatal(err)
	}
	return &upload{T: t, c: c, id: out.UploadId}
}

func (u *upload) part(number int32, sum types.ChecksumAlgorithm, text []byte) {
	u.Helper()
	out, err := u.c.UploadPart(u.Context(), &sdk.UploadPartInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id, PartNumber: &number, Body: bytes.NewReader(text), ChecksumAlgorithm: sum})
	if err != nil {
		u.Fatal(err)
	}
	u.parts = append(u.parts, types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
		ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
	})
}

func (u *upload) complete(change ...func(*sdk.CompleteMultipartUploadInput)) (*sdk.CompleteMultipartUploadOutput, error) {
	in := &sdk.CompleteMultipartUploadInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}}
	for _, c := range change {
		c(in)
	}
	return u.c.CompleteMultipartUpload(u.Context(), in)
}

// smallParts lets parts have 4 bytes.
func smallParts(c *Config) { c.Limits.Part = 4 }

func TestAnObjectInParts(t *testing.T) {
	t.Parallel()
	for _, sum := range []struct {
		of   types.ChecksumAlgorithm
		kind types.ChecksumType
	}{
		{types.ChecksumAlgorithmCrc32, ""}, {types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject}, {types.ChecksumAlgorithmCrc64nvme, ""}, {types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite}, {"", ""},
	} {
		t.Run(fmt.Sprintf("with checksums %s %s", sum.of, sum.kind), func(t *testing.T) {
			t.Parallel()
			b := setup(t, smallParts)
			c, ctx := b.sdk(operatorID, ""), t.Context()
			u := beginUpload(t, c, sum.of, sum.kind)
			u.part(2, sum.of, []byte("wrong"))
			u.parts = nil
			u.part(1, sum.of, []byte("0123"))
			u.part(2, sum.of, []byte("456789"))
			u.part(9, sum.of, []byte("ab"))
			listed, err := c.ListParts(ctx, &sdk.ListPartsInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id, MaxParts: new(int32(2))})
			if err != nil || len(listed.Parts) != 2 || !*listed.IsTruncated || *listed.NextPartNumberMarker != "2" || *listed.Parts[1].Size != 6 {
				t.Errorf("%v, parts %+v", err, listed)
			}
			uploads, err := c.ListMultipartUploads(ctx, &sdk.ListMultipartUploadsInput{Bucket: new("sources")})
			if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].UploadId != *u.id {
				t.Errorf("%v, uploads %+v", err, uploads)
			}
			done, err := u.complete()
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new("large"), Range: new("bytes=3-10")})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if err != nil || string(body) != "3456789a" || *got.ETag != *done.ETag || *got.ContentType != "text/plain" {
				t.Errorf("%q %v", body, err)
			}
			whole, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new("large"), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(whole.Body); err != nil || string(body) != "0123456789ab" {
				t.Errorf("%q %v", body, err)
			}
			part, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new("large"), PartNumber: new(int32(2))})
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(part.Body); err != nil || string(body) != "456789" || *part.PartsCount != 3 {
				t.Errorf("%q %v %d", body, err, *part.PartsCount)
			}
			if _, err := u.complete(); codeOf(err) != "NoSuchUpload" {
				t.Errorf("completed again: %v", err)
			}
			if n := b.stored(t); n != 3 {
				t.Errorf("%d files are stored", n)
			}
		})
	}
}

// TestTheETagOfAnObjectInParts is what every client of S3 computes.
func TestTheETagOfAnObjectInParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := beginUpload(t, b.sdk(operatorID, ""), "", "")
	u.part(1, "", make([]byte, 5<<20))
	u.part(2, "", make([]byte, 1))
	// md5(md5(5 MiB of zeros) + md5(one zero)), computed elsewhere.
	done, err := u.complete()
	if err != nil || *done.ETag != `"92f3a08aa3b1d7eb318ab9c2fc4a6ec3-2"` {
		t.Errorf("%v, ETag %v", err, done)
	}
}

func TestUploadsThatCannotBeCompleted(t *testing.T) {
	t.Parallel()
	b := setup(t, smallParts, func(c *Config) { c.Limits.Object = 12 })
	c, ctx := b.sdk(operatorID, ""), t.Context()
	u := beginUpload(t, c, types.ChecksumAlgorithmCrc32, "")
	u.part(1, types.ChecksumAlgorithmCrc32, []byte("0123"))
	u.part(2, types.ChecksumAlgorithmCrc32, []byte("45"))
	u.part(3, types.ChecksumAlgorithmCrc32, []byte("6789"))
	u.part(4, types.ChecksumAlgorithmCrc32, []byte("0123456789"))
	for name, step := range map[string]struct {
		parts []types.CompletedPart
		code  string
	}{
		"none":           {nil, "MalformedXML"},
		"out of order":   {[]types.CompletedPart{u.parts[2], u.parts[0]}, "InvalidPartOrder"},
		"twice the same": {[]types.CompletedPart{u.parts[0], u.parts[0]}, "InvalidPartOrder"},
		"one too small":  {u.parts[:3], "EntityTooSmall"},
		"one not there":  {[]types.CompletedPart{{PartNumber: new(int32(7)), ETag: u.parts[0].ETag}}, "InvalidPart"},
		"another's ETag": {[]types.CompletedPart{{PartNumber: new(int32(1)), ETag: u.parts[1].ETag}}, "InvalidPart"},
		"another's sum":  {[]types.CompletedPart{{PartNumber: new(int32(1)), ETag: u.parts[0].ETag, ChecksumCRC32: u.parts[1].ChecksumCRC32}}, "InvalidPart"},
		"too large":      {[]types.CompletedPart{u.parts[2], u.parts[3]}, "EntityTooLarge"},
	} {
		if _, err := u.complete(func(in *sdk.CompleteMultipartUploadInput) { in.MultipartUpload.Parts = step.parts }); codeOf(err) != step.code {
			t.Errorf("%s: %v, want %s", name, err, step.code)
		}
	}
	if _, err := u.complete(func(in *sdk.CompleteMultipartUploadInput) { in.Key = new("other") }); codeOf(err) != "NoSuchUpload" {
		t.Errorf("to another object: %v", err)
	}
	number := int32(10_001)
	_, err := c.UploadPart(ctx, &sdk.UploadPartInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id, PartNumber: &number, Body: bytes.NewReader(nil)})
	if codeOf(err) != "InvalidArgument" {
		t.Errorf("part %d: %v", number, err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id}); err != nil {
		t.Error(err)
	}
	if n := b.stored(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if _, err := u.complete(); codeOf(err) != "NoSuchUpload" {
		t.Errorf("after it was given up: %v", err)
	}
}

// TestPartsOfOtherObjects is how the aws command copies large objects.
func TestPartsOfOtherObjects(t *testing.T) {
	t.Parallel()
	b := setup(t, smallParts)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	put(t, c, "digits", "0123456789")
	u := beginUpload(t, c, "", "")
	for i, asked := range []string{"bytes=0-4", "bytes=5-9"} {
		out, err := c.UploadPartCopy(ctx, &sdk.UploadPartCopyInput{Bucket: new("sources"), Key: new("large"), UploadId: u.id, PartNumber: new(int32(i + 1)), CopySource: new("sources/digits"), CopySourceRange: &asked})
		if err != nil {
			t.Fatal(err)
		}
		u.parts = append(u.parts, types.CompletedPart{PartNumber: new(int32(i + 1)), ETag: out.CopyPartResult.ETag})
	}
	if _, err := u.complete(); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: new("large")})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "0123456789" {
		t.Errorf("%q %v", body, err)
	}
}

// TestSweep removes what a crash leaves: bytes of an object whose row was not
// written, and uploads that nobody completes.
func TestSweep(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := setup(t, func(c *Config) { c.Now = func() time.Time { return now } })
	c := b.sdk(operatorID, "")
	put(t, c, "kept", "kept")
	u := beginUpload(t, c, "", "")
	u.part(1, "", []byte("kept for a week"))
	if _, _, err := b.bytes.Receive(t.Context(), bytes.NewReader([]byte("lost"))); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{0, 2}, {abandoned + time.Minute, 1}} {
		now = now.Add(step.after)
		if err := b.handler.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.stored(t); n != step.left {
			t.Errorf("after %s %d files are left, want %d", step.after, n, step.left)
		}
	}
	if _, err := b.db.Object(t.Context(), "sources", "kept"); err != nil {
		t.Error(err)
	}
	var none []store.Upload
	if left, err := b.db.UploadsBefore(t.Context(), now); err != nil || len(left) != len(none) {
		t.Errorf("%v, uploads %v", err, left)
	}
}
