package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
)

// PublicKey checks signatures: ECDSA over P-256 with SHA-256.
type PublicKey struct {
	key *ecdsa.PublicKey
	der []byte
}

// ID is the SHA-256 of the key in PKIX form, in hex.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.der)
	return hex.EncodeToString(sum[:])
}

// Short is the ID as people read it.
func (k PublicKey) Short() string { return k.ID()[:12] }

// PEM is the key as cosign and openssl read it.
func (k PublicKey) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der}))
}

// DER is the key in PKIX form.
func (k PublicKey) DER() []byte { return k.der }

// verify tells whether the signature of the text is by this key.
func (k PublicKey) verify(text, signature []byte) bool {
	sum := sha256.Sum256(text)
	return ecdsa.VerifyASN1(k.key, sum[:], signature)
}

// ParsePublicKey reads a key in PKIX form.
func ParsePublicKey(der []byte) (PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return PublicKey{}, errors.New("read public key: it is not an ECDSA key of the curve P-256")
	}
	return PublicKey{key, der}, nil
}

// ParsePublicKeys reads a file of keys in PEM. There is at least one.
func ParsePublicKeys(text []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("read public keys: the file has a %q, and PUBLIC KEY is wanted", block.Type)
		}
		key, err := ParsePublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("read public keys: the file has none in PEM (-----BEGIN PUBLIC KEY-----)")
	}
	return keys, nil
}

// Signer signs statements.
type Signer struct {
	Public PublicKey
	key    *ecdsa.PrivateKey
}

// NewSigner makes a signer with a key of its own.
func NewSigner() (*Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return signerOf(key)
}

// ParseSigner reads what Private has written.
func ParseSigner(der []byte) (*Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("read a signing key: it is not an ECDSA key") // the error could show some of it
	}
	return signerOf(key)
}

func signerOf(key *ecdsa.PrivateKey) (*Signer, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("write a public key: %w", err)
	}
	public, err := ParsePublicKey(der)
	return &Signer{Public: public, key: key}, err
}

// Private is the private key in PKCS 8 form: a secret.
func (s *Signer) Private() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(s.key) }

func (s *Signer) sign(text []byte) ([]byte, error) {
	sum := sha256.Sum256(text)
	return ecdsa.SignASN1(rand.Reader, s.key, sum[:])
}

// envelope is DSSE's.
type envelope struct {
	Payload     string              `json:"payload"` // base64
	PayloadType string              `json:"payloadType"`
	Signatures  []envelopeSignature `json:"signatures"`
}

// envelopeSignature has no key's name: Sigstore's verifiers pass over one that
// is not made in their own way. The bundle tells it.
type envelopeSignature struct {
	Sig string `json:"sig"` // base64
}

// authenticated is the text that is signed: type and body with their lengths,
// so that nothing can be moved from one to the other.
func authenticated(kind string, body []byte) []byte {
	text := []byte("DSSEv1 " + strconv.Itoa(len(kind)) + " " + kind + " " + strconv.Itoa(len(body)) + " ")
	return append(text, body...)
}

func (s *Signer) envelope(body []byte) (envelope, error) {
	signature, err := s.sign(authenticated(payloadType, body))
	if err != nil {
		return envelope{}, fmt.Errorf("sign a statement: %w", err)
	}
	return envelope{
		Payload: base64.StdEncoding.EncodeToString(body), PayloadType: payloadType,
		Signatures: []envelopeSignature{{base64.StdEncoding.EncodeToString(signature)}},
	}, nil
}

// open checks a bundle and returns its statement and the key that signed it.
func (b bundle) open(keys []PublicKey) (statement, PublicKey, error) {
	e := b.Envelope
	body, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return statement{}, PublicKey{}, errors.New("its payload is not base64")
	}
	key, ok := e.signedBy(keys, authenticated(e.PayloadType, body))
	if !ok {
		return statement{}, PublicKey{}, b.foreign(keys)
	}
	if e.PayloadType != payloadType {
		return statement{}, PublicKey{}, fmt.Errorf("it holds %q and no in-toto statement", e.PayloadType)
	}
	var s statement
	if err := json.Unmarshal(body, &s); err != nil {
		return statement{}, PublicKey{}, fmt.Errorf("its statement cannot be read: %w", err)
	}
	if s.Type != statementType {
		return statement{}, PublicKey{}, fmt.Errorf("it holds %q and no in-toto statement v1", s.Type)
	}
	return s, key, nil
}

// signedBy is the first key by which one of the signatures is right. What the
// envelope calls the key does not matter.
func (e envelope) signedBy(keys []PublicKey, text []byte) (PublicKey, bool) {
	const most = 16
	for _, s := range e.Signatures[:min(most, len(e.Signatures))] {
		signature, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			continue
		}
		for _, key := range keys {
			if key.verify(text, signature) {
				return key, true
			}
		}
	}
	return PublicKey{}, false
}

// foreign says why no key fits: another one has signed, or what was signed has
// been changed.
func (b bundle) foreign(keys []PublicKey) error {
	for _, key := range keys {
		if b.Material.PublicKey.Hint == key.ID() {
			return errors.New("its content is not what was signed: it has been changed")
		}
	}
	return errors.New("it is signed by another key")
}
