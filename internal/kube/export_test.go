package kube

import "time"

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
