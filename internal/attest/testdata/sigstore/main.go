// This program has Sigstore's own library verify a bundle with a public key, as
// cosign does: FILE, KEY in PEM, and the image's SHA-256 in hex.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

func main() {
	kind, err := run(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	fmt.Println("verified:", kind)
}

func run(file, keyFile, digest string) (predicateType string, err error) {
	b, err := bundle.LoadJSONFromPath(file)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("the key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", err
	}
	v, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return "", err
	}
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
	verifier, err := verify.NewVerifier(trusted, verify.WithNoObserverTimestamps())
	if err != nil {
		return "", err
	}
	sum, err := hex.DecodeString(digest)
	if err != nil {
		return "", err
	}
	result, err := verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithKey()))
	if err != nil {
		return "", err
	}
	return result.Statement.PredicateType, nil
}
