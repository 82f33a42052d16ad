package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a client's clock may be from ours. A request can be
// repeated for as long, as it can with AWS: what must not happen twice carries
// a clientRequestToken.
const maxSkew = 15 * time.Minute

// signedAt is SigV4's form of an instant.
const signedAt = "20060102T150405Z"

// checkScope compares what a signature is good for with where it is shown.
func checkScope(s scope, service, region string) error {
	switch {
	case s.service != service:
		return Faultf("InvalidSignatureException", "Credential should be scoped to correct service: '%s'. ", service)
	case region != "" && s.region != region:
		return Faultf("InvalidSignatureException", "Credential should be scoped to a valid region, this server's is '%s'. ", region)
	case !regionForm.MatchString(s.region):
		return Faultf("InvalidSignatureException", "Credential should be scoped to a valid region. ")
	}
	return nil
}

// signingTime is when a request says that it was signed.
func signingTime(r *http.Request, a authorization) (time.Time, error) {
	if text := r.Header.Get("X-Amz-Date"); text != "" {
		at, err := time.Parse(signedAt, text)
		if err != nil {
			return at, incomplete("Date must be in ISO-8601 'basic format'. Got '" + clip(text) + "'. See http://en.wikipedia.org/wiki/ISO_8601")
		}
		return at, nil
	}
	text := r.Header.Get("Date")
	if text == "" || !slices.Contains(a.signed, "date") {
		return time.Time{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a signed 'Date' header.")
	}
	if at, err := time.Parse(signedAt, text); err == nil {
		return at, nil
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return at, incomplete("Date is neither in ISO-8601 'basic format' nor in that of HTTP. Got '" + clip(text) + "'.")
	}
	return at.UTC(), nil
}

func clip(text string) string { return text[:min(len(text), 40)] }

// checkTime compares the instant of a signature with the server's clock and
// with the signature's scope. SDKs correct their clock by the answer's Date
// header when they see this error.
func checkTime(at, now time.Time, s scope) error {
	now = now.UTC()
	text := func(t time.Time) string { return t.Format(signedAt) }
	if earliest := now.Add(-maxSkew); at.Before(earliest) {
		return Faultf("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 15 min.)", text(at), text(earliest), text(now))
	}
	if latest := now.Add(maxSkew); at.After(latest) {
		return Faultf("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 15 min.)", text(at), text(latest), text(now))
	}
	if day := at.Format("20060102"); day != s.date {
		return Faultf("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", clip(s.date), day, text(at))
	}
	return nil
}

// checkSigned wants each header signed whose change would change the request:
// else who can read one request could turn it into another.
func checkSigned(r *http.Request, a authorization) error {
	needed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			needed = append(needed, name)
		}
	}
	slices.Sort(needed)
	for _, name := range needed {
		if !slices.Contains(a.signed, name) {
			return Faultf("InvalidSignatureException", "'%s' must be a 'SignedHeader' in the AWS Authorization.", clip(name))
		}
	}
	return nil
}

// checkSignature signs the request anew and compares, in constant time. The
// body's digest is ours, so a body that was changed is found out; the client's
// own word about it must agree where it gives one.
func checkSignature(r *http.Request, body []byte, a authorization, at time.Time, secret string) error {
	digest := hexDigest(body)
	said := r.Header.Get("X-Amz-Content-Sha256")
	want := sign(secret, a.scope, at, canonicalRequest(r, a.signed, digest))
	same := subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) == 1
	if !same || (said != "" && said != digest) {
		return Faultf("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// canonicalRequest is the request in SigV4's one form. The SDK's own signer
// cannot be used to verify: it never signs some headers that other clients do
// sign, such as User-Agent, and always signs others.
func canonicalRequest(r *http.Request, signed []string, digest string) string {
	var text strings.Builder
	text.WriteString(r.Method + "\n/\n\n")
	for _, name := range signed {
		text.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	text.WriteString("\n" + strings.Join(signed, ";") + "\n" + digest)
	return text.String()
}

func canonicalHeader(r *http.Request, name string) string {
	values := slices.Clone(r.Header.Values(name))
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	for i, value := range values {
		values[i] = strings.Join(strings.FieldsFunc(value, func(c rune) bool { return c == ' ' }), " ")
	}
	return strings.Join(values, ",")
}

// sign is SigV4: the signature of a canonical request, in hex.
func sign(secret string, s scope, at time.Time, canonical string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, s.service, "aws4_request"} {
		key = keyed(key, part)
	}
	return hex.EncodeToString(keyed(key, "AWS4-HMAC-SHA256\n"+at.Format(signedAt)+"\n"+s.String()+"\n"+hexDigest([]byte(canonical))))
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexDigest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
