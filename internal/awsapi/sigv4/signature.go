package sigv4

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAuthorization bounds the header, in bytes.
const maxAuthorization = 4096

// algorithm is the only one that is known.
const algorithm = "AWS4-HMAC-SHA256"

// maxLifetime bounds how long a presigned request is good, as AWS does.
const maxLifetime = 7 * 24 * time.Hour

// Signature is what a request shows for itself, taken apart.
type Signature struct {
	KeyID  string
	Scope  Scope
	Signed []string // names of headers, lower case, sorted
	Value  string   // 64 hex digits
	At     time.Time
	Token  string // of a session, or ""
	// Lifetime is how long a presigned request is good from At on, 0 for one
	// that is signed in its header.
	Lifetime time.Duration
}

// Presigned tells a signature in the query from one in the header.
func (s Signature) Presigned() bool { return s.Lifetime > 0 }

// Scope is what a signature is good for.
type Scope struct {
	Date    string // YYYYMMDD
	Region  string
	Service string
}

func (s Scope) String() string { return s.Date + "/" + s.Region + "/" + s.Service + "/aws4_request" }

// Service is the service that a request's signature names, "" when it names
// none. Nothing is checked: it only tells which API the request is for.
func Service(r *http.Request) string {
	credential := ""
	switch header := r.Header.Get("Authorization"); {
	case strings.HasPrefix(header, algorithm):
		_, rest, _ := strings.Cut(header, "Credential=")
		credential, _, _ = strings.Cut(rest, ",")
	case header == "" && strings.Contains(r.URL.RawQuery, "X-Amz-Credential="):
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	parts := strings.Split(credential, "/")
	if len(parts) != 5 {
		return ""
	}
	return parts[3]
}

// Read takes the signature of a request apart and checks its form alone. The
// error is an *Error.
func Read(r *http.Request) (Signature, error) {
	if r.Header.Get("Authorization") == "" && strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") {
		return readQuery(r.URL.Query())
	}
	s, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return s, err
	}
	s.Token = r.Header.Get("X-Amz-Security-Token")
	s.At, err = signingTime(r, s.Signed)
	return s, err
}

// parseAuthorization reads an Authorization header. Its errors are AWS's, but
// that they do not repeat the header.
func parseAuthorization(header string) (Signature, error) {
	if header == "" {
		return Signature{}, refuse(Missing, "Missing Authentication Token")
	}
	name, rest, _ := strings.Cut(header, " ")
	if name != algorithm {
		return Signature{}, refuse(Malformed, "Unsupported AWS 'algorithm': this server knows AWS4-HMAC-SHA256 alone.")
	}
	if len(header) > maxAuthorization {
		return Signature{}, refuse(Malformed, "The Authorization header is too long.")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !ok || twice {
			return Signature{}, refuse(Malformed, "The Authorization header is not a list of different name=value pairs.")
		}
		fields[name] = value
	}
	return signatureOf("Authorization header", fields)
}

// signatureOf reads what headers and queries have in common.
func signatureOf(where string, fields map[string]string) (s Signature, err error) {
	var lacking []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			lacking = append(lacking, where+" requires '"+name+"' parameter.")
		}
	}
	if len(lacking) > 0 {
		return s, refuse(Malformed, "%s", strings.Join(lacking, " "))
	}
	credential := strings.Split(fields["Credential"], "/")
	if len(credential) != 5 {
		return s, refuse(Malformed, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	if credential[4] != "aws4_request" {
		return s, refuse(WrongScope, "Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	s = Signature{
		KeyID: credential[0], Scope: Scope{Date: credential[1], Region: credential[2], Service: credential[3]},
		Signed: strings.Split(fields["SignedHeaders"], ";"), Value: fields["Signature"],
	}
	if !keyForm.MatchString(s.KeyID) {
		return s, unknownKey()
	}
	if !slices.IsSorted(s.Signed) || len(slices.Compact(slices.Clone(s.Signed))) != len(s.Signed) || strings.ToLower(fields["SignedHeaders"]) != fields["SignedHeaders"] {
		return s, refuse(Malformed, "SignedHeaders must be different names in lower case, in alphabetical order.")
	}
	if !signatureForm.MatchString(s.Value) {
		return s, refuse(Malformed, "Signature must be 64 hexadecimal digits in lower case.")
	}
	return s, nil
}

// The forms of a key's id, which AWS's clients check too, of a signature, and
// of a region.
var (
	keyForm       = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	regionForm    = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

// readQuery reads the signature of a presigned request.
func readQuery(query url.Values) (Signature, error) {
	if query.Get("X-Amz-Algorithm") != algorithm {
		return Signature{}, refuse(Malformed, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
	}
	fields := map[string]string{}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		fields[name] = query.Get("X-Amz-" + name)
	}
	s, err := signatureOf("Query", fields)
	if err != nil {
		return s, err
	}
	s.Token = query.Get("X-Amz-Security-Token")
	if s.At, err = time.Parse(signedAt, query.Get("X-Amz-Date")); err != nil {
		return s, refuse(Malformed, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	seconds, err := strconv.ParseInt(query.Get("X-Amz-Expires"), 10, 32)
	s.Lifetime = time.Duration(seconds) * time.Second
	if err != nil || s.Lifetime <= 0 || s.Lifetime > maxLifetime {
		return s, refuse(Malformed, "X-Amz-Expires must be a number of seconds, from 1 to %d", int(maxLifetime.Seconds()))
	}
	return s, nil
}

// signedAt is SigV4's form of an instant.
const signedAt = "20060102T150405Z"

// signingTime is when a request says that it was signed.
func signingTime(r *http.Request, signed []string) (time.Time, error) {
	if text := r.Header.Get("X-Amz-Date"); text != "" {
		at, err := time.Parse(signedAt, text)
		if err != nil {
			return at, refuse(Malformed, "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", clip(text))
		}
		return at, nil
	}
	text := r.Header.Get("Date")
	if text == "" || !slices.Contains(signed, "date") {
		return time.Time{}, refuse(Malformed, "Authorization header requires existence of either a 'X-Amz-Date' or a signed 'Date' header.")
	}
	if at, err := time.Parse(signedAt, text); err == nil {
		return at, nil
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return at, refuse(Malformed, "Date is neither in ISO-8601 'basic format' nor in that of HTTP. Got '%s'.", clip(text))
	}
	return at.UTC(), nil
}

func clip(text string) string { return text[:min(len(text), 40)] }
