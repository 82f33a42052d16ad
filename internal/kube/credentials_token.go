package kube

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"time"
)

var bootstrapForm = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// IsBootstrapToken tells whether a token has the form of kubeadm's bootstrap
// tokens, as 07401b.f395accd246ae52d: an id, which is no secret, and a secret.
func IsBootstrapToken(token string) bool { return bootstrapForm.MatchString(token) }

// bootstrapID is the public part of a bootstrap token.
func bootstrapID(token string) string {
	id, _, _ := strings.Cut(token, ".")
	return id
}

// claims are what a JSON Web Token says of itself. Nobody has checked its
// signature: they are for messages, not for decisions.
type claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	Expires   time.Time // zero when it never does
	NotBefore time.Time
}

// maxClaims bounds what is decoded of a token. Those of large identity
// providers have some 10 kB.
const maxClaims = 64 << 10

// readClaims decodes a token's claims. ok is false when it is no JSON Web Token.
func readClaims(token string) (found claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(parts[1]) > maxClaims {
		return claims{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	var raw struct {
		Issuer    string   `json:"iss"`
		Subject   string   `json:"sub"`
		Audience  audience `json:"aud"`
		Expires   float64  `json:"exp"`
		NotBefore float64  `json:"nbf"`
	}
	if json.Unmarshal(text, &raw) != nil {
		return claims{}, false
	}
	return claims{
		Issuer: raw.Issuer, Subject: raw.Subject, Audience: raw.Audience,
		Expires: seconds(raw.Expires), NotBefore: seconds(raw.NotBefore),
	}, true
}

// audience is one name or several in RFC 7519.
type audience []string

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// seconds is a NumericDate of RFC 7519, in the years that can be printed.
func seconds(value float64) time.Time {
	const year9999 = 253402300799
	if math.IsNaN(value) || value <= 0 || value > year9999 {
		return time.Time{}
	}
	return time.Unix(int64(value), 0)
}
