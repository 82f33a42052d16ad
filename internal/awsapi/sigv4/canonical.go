package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the request in SigV4's one form. The SDK's own signer
// cannot be used to verify: it never signs some headers that other clients do
// sign, such as User-Agent, and always signs others.
func canonicalRequest(r *http.Request, s Signature, digest string) string {
	var text strings.Builder
	text.WriteString(r.Method + "\n" + canonicalPath(r.URL.Path) + "\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, name := range s.Signed {
		text.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	text.WriteString("\n" + strings.Join(s.Signed, ";") + "\n" + digest)
	return text.String()
}

// canonicalPath is the path as S3 signs it, escaped once. Other services escape
// it twice, but have no path but "/".
func canonicalPath(path string) string {
	if path == "" {
		return "/"
	}
	return escape(path, "/")
}

// canonicalQuery is the query in order, without the signature itself.
func canonicalQuery(raw string) string {
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		text, valueErr := url.QueryUnescape(value)
		if pair == "" || err != nil || valueErr != nil || name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, escape(name, "")+"="+escape(text, ""))
	}
	// The names are compared before the values: "=" sorts after the digits and
	// hyphens that may follow a shorter name.
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, valueA, _ := strings.Cut(a, "=")
		nameB, valueB, _ := strings.Cut(b, "=")
		if order := strings.Compare(nameA, nameB); order != 0 {
			return order
		}
		return strings.Compare(valueA, valueB)
	})
	return strings.Join(pairs, "&")
}

// escape is RFC 3986's, of all but letters, digits, - . _ ~ and what is kept.
func escape(text, kept string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
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

// signingKey is the secret's key for a scope.
func signingKey(secret string, s Scope) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.Date, s.Region, s.Service, "aws4_request"} {
		key = keyed(key, part)
	}
	return key
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Digest is the SHA-256 of a text in hex, as signatures hold it.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
