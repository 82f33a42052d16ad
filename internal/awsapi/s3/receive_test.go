package s3

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestABodyInChunks is what SDKs send over TLS: what frames it is not kept, and
// it must be as long and have the checksum that it says.
func TestABodyInChunks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const whole = "5\r\nhello\r\n1\r\n!\r\n0\r\n"
	for name, c := range map[string]struct {
		body, length, trailer string
		want                  string // code, or "" for one that is kept
	}{
		"as it should be":       {whole + "x-amz-checksum-crc32:mobJYA==\r\n\r\n", "6", "x-amz-checksum-crc32", ""},
		"without a trailer":     {whole + "\r\n", "6", "", ""},
		"with another checksum": {whole + "x-amz-checksum-crc32:AAAAAA==\r\n\r\n", "6", "x-amz-checksum-crc32", "BadDigest"},
		"shorter than it says":  {whole + "\r\n", "7", "", "IncompleteBody"},
		"longer than it says":   {whole + "\r\n", "5", "", "IncompleteBody"},
		"cut":                   {"5\r\nhello\r\n", "6", "", "IncompleteBody"},
		"of no length":          {whole + "\r\n", "", "", "MissingContentLength"},
		"of two checksums":      {whole + "\r\n", "6", "x-amz-checksum-crc32", "InvalidRequest"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.url+"/sources/"+strings.ReplaceAll(name, " ", "-"), strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		const digest = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		for header, value := range map[string]string{"X-Amz-Content-Sha256": digest, "X-Amz-Decoded-Content-Length": c.length, "X-Amz-Trailer": c.trailer, "Content-Encoding": "aws-chunked"} {
			if value != "" {
				r.Header.Set(header, value)
			}
		}
		if c.want == "InvalidRequest" {
			r.Header.Set("X-Amz-Checksum-Sha1", "x")
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: operatorID, SecretAccessKey: secretKey}, r, digest, "s3", "eu-west-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if (response.StatusCode == http.StatusOK) != (c.want == "") || !strings.Contains(string(answer), c.want) {
			t.Errorf("%s: %s\n%s", name, response.Status, answer)
		}
		o, err := b.db.Object(t.Context(), "sources", strings.TrimPrefix(r.URL.Path, "/sources/"))
		if (err == nil) != (c.want == "") || err == nil && (o.Size != 6 || o.Headers["Content-Encoding"] != "") {
			t.Errorf("%s: object %+v %v", name, o, err)
		}
	}
	if n := b.stored(t); n != 1 {
		t.Errorf("%d files are stored", n)
	}
}
