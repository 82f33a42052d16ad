package kube

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// What the tests of this package reach that others do not.
var (
	ConnectInCluster = connectInCluster
	ReadClaims       = readClaims
	ReadDenial       = readDenial
	SignEKSToken     = signEKSToken
	ReadEKSToken     = readEKSToken
	Granted          = granted
)

// NewEKSTokens is newEKSTokens with another clock.
func NewEKSTokens(c Credential, now func() time.Time) *eksTokens {
	tokens := newEKSTokens(c)
	tokens.now = now
	return tokens
}

// Explain is the transport of a cluster below its credentials.
func Explain(c Credential) http.RoundTripper {
	return newExplainer(settings{config: &rest.Config{Host: c.Server}, stored: true})(http.DefaultTransport)
}
