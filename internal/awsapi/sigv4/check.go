package sigv4

import (
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxSkew is how far a client's clock may be from ours. A request can be
// repeated for as long, as it can with AWS: what must not happen twice carries
// a clientRequestToken.
const maxSkew = 15 * time.Minute

// checkScope compares what a signature is good for with where it is shown.
func checkScope(s Scope, service, region string) error {
	switch {
	case s.Service != service:
		return refuse(WrongScope, "Credential should be scoped to correct service: '%s'. ", service)
	case region != "" && s.Region != region:
		return refuse(WrongScope, "Credential should be scoped to a valid region, this server's is '%s'. ", region)
	case !regionForm.MatchString(s.Region):
		return refuse(WrongScope, "Credential should be scoped to a valid region. ")
	}
	return nil
}

// checkTime compares the instant of a signature with the server's clock and
// with the signature's scope. SDKs correct their clock by the answer's Date
// header when they see this error.
func checkTime(s Signature, now time.Time) error {
	now = now.UTC()
	text := func(t time.Time) string { return t.Format(signedAt) }
	earliest, latest := now.Add(-maxSkew), now.Add(maxSkew)
	switch {
	case s.Presigned() && now.After(s.At.Add(s.Lifetime)):
		return refuse(Expired, "Request has expired")
	case !s.Presigned() && s.At.Before(earliest):
		return refuse(Skewed, "Signature expired: %s is now earlier than %s (%s - 15 min.)", text(s.At), text(earliest), text(now))
	case s.At.After(latest):
		return refuse(Skewed, "Signature not yet current: %s is still later than %s (%s + 15 min.)", text(s.At), text(latest), text(now))
	}
	if day := s.At.Format("20060102"); day != s.Scope.Date {
		return refuse(WrongScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", clip(s.Scope.Date), day, text(s.At))
	}
	return nil
}

// checkSigned wants each header signed whose change would change the request:
// else who can read one request could turn it into another.
func checkSigned(r *http.Request, s Signature) error {
	needed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			needed = append(needed, name)
		}
	}
	slices.Sort(needed)
	for _, name := range needed {
		if !slices.Contains(s.Signed, name) {
			return refuse(Unsigned, "'%s' must be a 'SignedHeader' in the AWS Authorization.", clip(name))
		}
	}
	return nil
}

// checkSignature signs the request anew and compares, in constant time. The
// body's digest is the caller's; the client's own word about it must agree where
// it gives one.
func checkSignature(r *http.Request, s Signature, key []byte, digest string) error {
	said := r.Header.Get("X-Amz-Content-Sha256")
	want := sign(key, s, canonicalRequest(r, s, digest))
	same := subtle.ConstantTimeCompare([]byte(want), []byte(s.Value)) == 1
	if !same || (said != "" && said != digest) {
		return mismatch()
	}
	return nil
}

func mismatch() *Error {
	return refuse(Mismatch, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// sign is SigV4: the signature of a canonical request, in hex.
func sign(key []byte, s Signature, canonical string) string {
	return hex.EncodeToString(keyed(key, algorithm+"\n"+s.At.Format(signedAt)+"\n"+s.Scope.String()+"\n"+Digest([]byte(canonical))))
}
