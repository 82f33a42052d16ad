package secret

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Same compares a secret that somebody gave with the right one, in a time that
// tells nothing about either, their lengths included. No secret is the same as
// one that is empty.
func Same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
