package sigv4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// exampleSecret is the one of AWS's documentation.
const exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// example is the upload in chunks of AWS's documentation, with its signatures,
// which none of the code here has made: 65 KiB of the letter a.
func example(t *testing.T, digest, signed, seed string) Verified {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://s3.amazonaws.com/examplebucket/chunkObject.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"X-Amz-Date": "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "X-Amz-Content-Sha256": digest,
		"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "66560", "Content-Length": "66824",
	} {
		r.Header.Set(name, value)
	}
	if strings.Contains(signed, "x-amz-trailer") {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="+signed+",Signature="+seed)
	s, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	v := Verified{Signature: s, signing: signingKey(exampleSecret, s.Scope)}
	if err := checkSignature(r, s, v.signing, digest); err != nil {
		t.Fatal(err)
	}
	return v
}

func plainExample(t *testing.T) (Verified, string) {
	t.Helper()
	v := example(t, signedChunks, "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
	a := strings.Repeat("a", 64<<10)
	return v, "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + a + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + a[:1024] + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func trailerExample(t *testing.T) (Verified, string) {
	t.Helper()
	v := example(t, signedChunksTrailer, "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
	a := strings.Repeat("a", 64<<10)
	return v, "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + a + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + a[:1024] + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

func TestTheChunksOfAWSsOwnExamples(t *testing.T) {
	t.Parallel()
	plain, plainBody := plainExample(t)
	trailing, trailingBody := trailerExample(t)
	for name, c := range map[string]struct {
		v            Verified
		digest, body string
		trailer      string
	}{
		"without a trailer": {plain, signedChunks, plainBody, ""},
		"with a trailer":    {trailing, signedChunksTrailer, trailingBody, "sOO8/Q=="},
		"with a trailer that is framed as some clients do": {
			trailing, signedChunksTrailer, strings.Replace(strings.Replace(trailingBody, "863f992\r\n", "863f992\r\n\r\n", 1), "/Q==\r\n", "/Q==\n\r\n", 1), "sOO8/Q==",
		},
	} {
		for how, in := range map[string]io.Reader{"at once": strings.NewReader(c.body), "byte by byte": iotest.OneByteReader(strings.NewReader(c.body))} {
			body, err := c.v.Body(in, c.digest)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			if err != nil || len(got) != 66560 || len(bytes.Trim(got, "a")) != 0 || body.Trailer["x-amz-checksum-crc32c"] != c.trailer {
				t.Errorf("%s, %s: %d bytes, trailer %v: %v", name, how, len(got), body.Trailer, err)
			}
		}
	}
}

func before(text, mark string) string {
	text, _, _ = strings.Cut(text, mark)
	return text
}

func after(text, mark string) string {
	_, text, _ = strings.Cut(text, mark)
	return text
}

// TestABodyThatWasChanged has every way in which a body can be another one than
// the one that was signed.
func TestABodyThatWasChanged(t *testing.T) {
	t.Parallel()
	plain, plainBody := plainExample(t)
	trailing, trailingBody := trailerExample(t)
	digest := Digest([]byte("hello"))
	for name, c := range map[string]struct {
		v            Verified
		digest, body string
		kind         Kind
	}{
		"a digest that is another's":       {plain, digest, "Hello", BadPayload},
		"a letter":                         {plain, signedChunks, strings.Replace(plainBody, "aaaa", "aaab", 1), Mismatch},
		"a chunk that is gone":             {plain, signedChunks, "400;" + after(plainBody, "400;"), Mismatch},
		"the last chunk is gone":           {plain, signedChunks, before(plainBody, "0;chunk-signature=b6"), Incomplete},
		"the end is gone":                  {plain, signedChunks, plainBody[:66000], Incomplete},
		"a signature is gone":              {plain, signedChunks, strings.Replace(plainBody, ";chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "", 1), Malformed},
		"a chunk that is too long to be":   {plain, signedChunks, "fffffffffffffff;chunk-signature=" + strings.Repeat("0", 64) + "\r\n", Malformed},
		"a negative chunk":                 {plain, signedChunks, "-1;chunk-signature=" + strings.Repeat("0", 64) + "\r\n", Malformed},
		"a line without an end":            {plain, signedChunks, strings.Repeat("0", 1<<20), Malformed},
		"a trailer that nobody announced":  {plain, signedChunks, strings.TrimSuffix(plainBody, "\r\n") + "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", Malformed},
		"a trailer that was changed":       {trailing, signedChunksTrailer, strings.Replace(trailingBody, "sOO8", "sOO9", 1), Mismatch},
		"a trailer that is not signed":     {trailing, signedChunksTrailer, before(trailingBody, "x-amz-trailer-sig") + "\r\n", Incomplete},
		"too many trailers":                {trailing, signedChunksTrailer, before(trailingBody, "x-amz-checksum") + strings.Repeat("a:b\r\n", 99), Malformed},
		"an unsigned body of bad chunks":   {plain, unsignedChunksTrailer, "x\r\n", Malformed},
		"an unsigned body that ends early": {plain, unsignedChunksTrailer, "5\r\nhel", Incomplete},
	} {
		body, err := c.v.Body(strings.NewReader(c.body), c.digest)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, body)
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Kind != c.kind {
			t.Errorf("%s: %v, want kind %s", name, err, c.kind)
		}
	}
	if _, err := plain.Body(strings.NewReader(""), "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"); err == nil {
		t.Error("a form that is not known is taken")
	}
}

func TestAnUnsignedBodyInChunks(t *testing.T) {
	t.Parallel()
	body, err := Verified{}.Body(strings.NewReader("5\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32: AAAA \r\n\r\n"), unsignedChunksTrailer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || string(got) != "hello!" || body.Trailer["x-amz-checksum-crc32"] != "AAAA" {
		t.Errorf("%q %v %v", got, body.Trailer, err)
	}
}

// TestThePresignedRequestOfAWSsOwnExample is the worked example of AWS's
// documentation of query parameters.
func TestThePresignedRequestOfAWSsOwnExample(t *testing.T) {
	t.Parallel()
	const url = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if Service(r) != "s3" {
		t.Errorf("service %q", Service(r))
	}
	s, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSignature(r, s, signingKey(exampleSecret, s.Scope), UnsignedPayload); err != nil {
		t.Error(err)
	}
	made := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for after, kind := range map[time.Duration]Kind{-16 * time.Minute: Skewed, 0: "", 24 * time.Hour: "", 24*time.Hour + time.Second: Expired} {
		refused, _ := errors.AsType[*Error](checkTime(s, made.Add(after)))
		if (refused == nil) != (kind == "") || refused != nil && refused.Kind != kind {
			t.Errorf("after %s: %v", after, refused)
		}
	}
	for _, change := range []string{"Expires=0", "Expires=604801", "Expires=x", "Algorithm=AWS4", "Date=now", "Signature=x", "Credential=x"} {
		name, _, _ := strings.Cut(change, "=")
		query := r.URL.Query()
		query.Set("X-Amz-"+name, strings.TrimPrefix(change, name+"="))
		changed := r.Clone(t.Context())
		changed.URL.RawQuery = query.Encode()
		if _, err := Read(changed); err == nil {
			t.Errorf("%s is read", change)
		}
	}
}

func TestTheCanonicalQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                "",
		"uploads":                         "uploads=",
		"prefix=a b&delimiter=/&max=2":    "delimiter=%2F&max=2&prefix=a%20b",
		"a=2&a=1&a-b=3":                   "a=1&a=2&a-b=3",
		"x=%41%2a~&X-Amz-Signature=00":    "x=A%2A~",
		"marker=%E2%82%AC&list-type=2&&=": "=&list-type=2&marker=%E2%82%AC",
	} {
		if got := canonicalQuery(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// FuzzChunks holds two promises for whatever comes as a body: nothing panics,
// and what is read of a body in chunks never is more than came.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{"5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\na:b\r\n\r\n", "0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n\r\n", "\r\n", "fffffffffffffffff\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, digest := range []string{signedChunks, signedChunksTrailer, unsignedChunksTrailer} {
			body, err := Verified{}.Body(bytes.NewReader(text), digest)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, body)
			if n > int64(len(text)) {
				t.Errorf("%s: %d bytes of %d", digest, n, len(text))
			}
			if refused, ok := errors.AsType[*Error](err); err != nil && !ok {
				t.Errorf("%s: error %v is no *Error", digest, fmt.Sprint(refused, err))
			}
		}
	})
}
