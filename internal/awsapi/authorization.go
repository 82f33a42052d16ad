package awsapi

import (
	"regexp"
	"slices"
	"strings"
)

// maxAuthorization bounds the header, in bytes.
const maxAuthorization = 4096

// authorization is the header of that name, taken apart.
type authorization struct {
	keyID     string
	scope     scope
	signed    []string // names of headers, lower case, sorted
	signature string   // 64 hex digits
}

// scope is what a signature is good for.
type scope struct {
	date    string // YYYYMMDD
	region  string
	service string
}

func (s scope) String() string { return s.date + "/" + s.region + "/" + s.service + "/aws4_request" }

// parseAuthorization reads an Authorization header. Its errors are AWS's, but
// that they do not repeat the header.
func parseAuthorization(header string) (authorization, error) {
	if header == "" {
		return authorization{}, Faultf("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	algorithm, rest, _ := strings.Cut(header, " ")
	if algorithm != "AWS4-HMAC-SHA256" {
		return authorization{}, incomplete("Unsupported AWS 'algorithm': this server knows AWS4-HMAC-SHA256 alone.")
	}
	if len(header) > maxAuthorization {
		return authorization{}, incomplete("The Authorization header is too long.")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !ok || twice {
			return authorization{}, incomplete("The Authorization header is not a list of different name=value pairs.")
		}
		fields[name] = value
	}
	return authorizationOf(fields)
}

func incomplete(message string) *Fault { return Faultf("IncompleteSignatureException", "%s", message) }

func authorizationOf(fields map[string]string) (a authorization, err error) {
	var lacking []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			lacking = append(lacking, "Authorization header requires '"+name+"' parameter.")
		}
	}
	if len(lacking) > 0 {
		return a, incomplete(strings.Join(lacking, " "))
	}
	credential := strings.Split(fields["Credential"], "/")
	if len(credential) != 5 {
		return a, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	if credential[4] != "aws4_request" {
		return a, Faultf("InvalidSignatureException", "Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	a = authorization{
		keyID: credential[0], scope: scope{date: credential[1], region: credential[2], service: credential[3]},
		signed: strings.Split(fields["SignedHeaders"], ";"), signature: fields["Signature"],
	}
	if !keyForm.MatchString(a.keyID) {
		return a, unrecognized()
	}
	if !slices.IsSorted(a.signed) || len(slices.Compact(slices.Clone(a.signed))) != len(a.signed) || strings.ToLower(fields["SignedHeaders"]) != fields["SignedHeaders"] {
		return a, incomplete("SignedHeaders must be different names in lower case, in alphabetical order.")
	}
	if !signatureForm.MatchString(a.signature) {
		return a, incomplete("Signature must be 64 hexadecimal digits in lower case.")
	}
	return a, nil
}

// The forms of a key's id, which AWS's clients check too, of a signature, and
// of a region.
var (
	keyForm       = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	regionForm    = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

func unrecognized() *Fault {
	return Faultf("UnrecognizedClientException", "The security token included in the request is invalid.")
}
