package kube

import (
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Public is the credential without its secrets, to be shown.
func (c Credential) Public() Credential {
	c.Token, c.Key, c.Password, c.SecretKey, c.SessionToken = "", "", "", "", ""
	if u, err := url.Parse(c.ProxyURL); err != nil {
		c.ProxyURL = ""
	} else if u.User != nil {
		u.User = url.User(u.User.Username())
		c.ProxyURL = u.String()
	}
	return c
}

// String says what the credential is, and nothing that is secret.
func (c Credential) String() string {
	text := string(c.Kind)
	if who := c.Who(); who != "" {
		text += " of " + who
	}
	if c.Server != "" {
		text += " for " + c.Server
	}
	return text
}

// GoString keeps secrets out of %#v too.
func (c Credential) GoString() string { return "kube.Credential(" + c.String() + ")" }

// LogValue keeps secrets out of logs.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Who is the user that the credential claims to be, as far as it says so:
// what the cluster makes of it, WhoAmI tells.
func (c Credential) Who() string {
	switch c.Kind {
	case CertificateCredential:
		if found, err := parseCertificates(c.Certificate); err == nil {
			return found[0].Subject.CommonName
		}
	case TokenCredential:
		if claims, ok := readClaims(c.Token); ok {
			return claims.Subject
		}
	case BootstrapCredential:
		return "system:bootstrap:" + bootstrapID(c.Token)
	case EKSCredential:
		switch {
		case c.Role != "":
			return c.Role
		case c.AccessKey != "":
			return "access key " + c.AccessKey
		}
		return "the server's own AWS identity"
	case InClusterCredential:
		return "the pod's service account"
	case KubeconfigCredential:
		return strings.TrimSpace("context " + c.Context)
	}
	return c.User
}

// Expires is when the credential stops working, as far as it says so itself.
// The zero time means never, or unknown.
func (c Credential) Expires() time.Time {
	switch c.Kind {
	case CertificateCredential, ProxyCredential:
		if found, err := parseCertificates(c.Certificate); err == nil {
			return found[0].NotAfter
		}
	case TokenCredential:
		claims, _ := readClaims(c.Token)
		return claims.Expires
	}
	return time.Time{}
}

// describeName is a certificate's subject as a person looks for it.
func describeName(commonName string, organizations []string) string {
	parts := []string{"CN=" + commonName}
	for _, organization := range organizations {
		parts = append(parts, "O="+organization)
	}
	return strings.Join(parts, ", ")
}
