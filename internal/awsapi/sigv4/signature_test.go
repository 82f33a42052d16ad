package sigv4

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const keyID = "AKIAVIEWERVIEWER2345"

// monday is when everything in these tests was signed.
var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// TestTheSignatureOfAWSsOwnExample is the worked example of AWS's documentation
// of Signature Version 4, which none of the code here has made.
func TestTheSignatureOfAWSsOwnExample(t *testing.T) {
	t.Parallel()
	canonical := "GET\n/\nAction=ListUsers&Version=2010-05-08\ncontent-type:application/x-www-form-urlencoded; charset=utf-8\nhost:iam.amazonaws.com\nx-amz-date:20150830T123600Z\n\n" +
		"content-type;host;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	s := Signature{Scope: Scope{"20150830", "us-east-1", "iam"}, At: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)}
	got := sign(signingKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", s.Scope), s, canonical)
	if want := "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func FuzzParseAuthorization(f *testing.F) {
	good := "AWS4-HMAC-SHA256 Credential=" + keyID + "/20260302/eu-west-1/codepipeline/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)
	for _, seed := range []string{
		good, "", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", strings.ReplaceAll(good, ", ", ","), strings.Replace(good, "host;", "host;;", 1),
		good + ",Signature=", "Bearer x", strings.Replace(good, "aws4_request", "", 1), strings.Replace(good, "/20260302", "//20260302", 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("error %v is no *Error", err)
			}
			return
		}
		// What was read is what stood there.
		again := fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", a.KeyID, a.Scope, strings.Join(a.Signed, ";"), a.Value)
		b, err := parseAuthorization(again)
		if err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q was read as %q: %v", header, again, err)
		}
	})
}

// FuzzSignature holds the canonical form to the SDK's signer: what it signs is
// let in, whatever the values of its headers are.
func FuzzSignature(f *testing.F) {
	f.Add([]byte("{}"), "secret", "  a   b ", "tab\tand more")
	f.Add([]byte(""), "", "", "")
	f.Add([]byte{0, 255}, "s\x00", "ü", ";:,=")
	f.Fuzz(func(t *testing.T, body []byte, secret, one, two string) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://127.0.0.1:8480/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{one, two} {
			if strings.ContainsAny(value, "\r\n\x00") {
				return
			}
			r.Header.Add("X-Amz-Meta-A", strings.TrimSpace(value))
		}
		digest := Digest(body)
		at := monday
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, digest, "codepipeline", "eu-west-1", at); err != nil {
			t.Fatal(err)
		}
		s, err := Read(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "127.0.0.1:8480"
		key := signingKey(secret, s.Scope)
		if err := checkSignature(r, s, key, digest); err != nil {
			t.Errorf("%q %q: %v", r.Header.Values("X-Amz-Meta-A"), hex.EncodeToString(body), err)
		}
		if err := checkSignature(r, s, key, Digest(append(body, 'x'))); err == nil {
			t.Error("a longer body is let in")
		}
	})
}
