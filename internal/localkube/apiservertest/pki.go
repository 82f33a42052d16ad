package apiservertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// Issuer is in the tokens of service accounts.
	Issuer = "https://kubernetes.test"
	// ProxyName is the common name that an authenticating proxy's certificate
	// must have.
	ProxyName = "front-proxy"
)

// PKI holds the keys of an API server, so that tests can make what it trusts
// and what it does not.
type PKI struct {
	CA     string // PEM: signs the server and the clients
	ca     *authority
	proxy  *authority
	signer *ecdsa.PrivateKey // of service accounts' tokens
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewPKI makes all keys and writes what an API server reads into dir.
func NewPKI(dir string) (*PKI, error) {
	ca, caPEM, err := newAuthority("test-ca")
	if err != nil {
		return nil, err
	}
	proxy, proxyPEM, err := newAuthority("test-proxy-ca")
	if err != nil {
		return nil, err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &PKI{CA: caPEM, ca: ca, proxy: proxy, signer: signer}
	certificate, key, err := ca.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "kube-apiserver"}, DNSNames: []string{"kubernetes", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	saKey, err := keyPEM(signer)
	if err != nil {
		return nil, err
	}
	var errs []error
	for name, text := range map[string]string{"ca.crt": caPEM, "proxy-ca.crt": proxyPEM, "apiserver.crt": certificate, "apiserver.key": key, "sa.key": saKey} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return p, errors.Join(errs...)
}

// Client makes a client certificate that is valid until notAfter.
func (p *PKI) Client(user string, groups []string, notAfter time.Time) (certificate, key string, err error) {
	return p.ca.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: user, Organization: groups}, NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Proxy makes the certificate of an authenticating proxy with a common name.
func (p *PKI) Proxy(name string) (certificate, key string, err error) {
	return p.proxy.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// AdminTLS is what an administrator connects with.
func (p *PKI) AdminTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.certificate)
	certificate, key, err := p.Client("admin", []string{"system:masters"}, time.Now().Add(time.Hour))
	if err != nil {
		panic(err) // there is no randomness left in this machine
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		panic(err)
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// ServiceAccountToken signs claims as the API server does, which allows
// lifetimes that it would not give.
func (p *PKI) ServiceAccountToken(claims map[string]any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	unsigned := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(text)
	digest := sha256.Sum256([]byte(unsigned))
	r, s, err := ecdsa.Sign(rand.Reader, p.signer, digest[:])
	if err != nil {
		return "", err
	}
	return unsigned + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)), nil
}

func newAuthority(name string) (*authority, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a := &authority{certificate: template, key: key}
	text, err := a.sign(template, key)
	return a, text, err
}

func (a *authority) issue(template *x509.Certificate) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if certificate, err = a.sign(template, private); err != nil {
		return "", "", err
	}
	key, err = keyPEM(private)
	return certificate, key, err
}

// sign signs a template. An authority signs itself, and keeps the result.
func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", err
	}
	template.SerialNumber, template.NotBefore = serial, time.Now().Add(-24*time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), crypto.Signer(a.key))
	if err != nil {
		return "", fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	if template == a.certificate {
		if a.certificate, err = x509.ParseCertificate(der); err != nil {
			return "", err
		}
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func keyPEM(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), nil
}
