package kube

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// CredentialError says what is wrong with a credential, and how to mend it. It
// quotes nothing secret.
type CredentialError struct {
	Field   string // JSON name of the field of Credential
	Message string
	Hint    string // may be empty
}

func (e *CredentialError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

func wrong(field, hint, message string, args ...any) error {
	return &CredentialError{Field: field, Message: fmt.Sprintf(message, args...), Hint: hint}
}

// Check says what is wrong with a credential as it is written, without asking
// the cluster. The error is a *CredentialError.
func (c Credential) Check() error {
	allowed, known := kindFields[c.Kind]
	if !known {
		return wrong("kind", "it is one of "+strings.Join(kindNames(), ", "), "%q is no way to sign in", c.Kind)
	}
	// A field that another kind needs would be silently left out: the user
	// meant something else.
	for _, field := range c.fields() {
		if field.set && !slices.Contains(allowed, field.name) {
			return wrong(field.name, "leave it out, or choose another kind", "a credential of kind %s has no use for %s", c.Kind, field.name)
		}
	}
	if slices.Contains(allowed, "server") {
		if err := c.checkServer(); err != nil {
			return err
		}
	}
	switch c.Kind {
	case TokenCredential:
		return checkToken(c.Token)
	case BootstrapCredential:
		return checkBootstrapToken(c.Token)
	case CertificateCredential:
		return c.checkCertificate()
	case ProxyCredential:
		if c.User == "" {
			return wrong("user", "give the user that the proxy vouches for", "the user is missing")
		}
		return c.checkCertificate()
	case BasicCredential:
		return c.checkBasic()
	case EKSCredential:
		return c.checkEKS()
	}
	return nil
}

// place are the fields of every kind that is told its server.
var place = []string{"server", "ca", "insecure", "serverName", "proxyURL", "namespace"}

// kindFields are the fields that each kind may have.
var kindFields = map[CredentialKind][]string{
	KubeconfigCredential:  {"kubeconfig", "context", "namespace"},
	InClusterCredential:   {"namespace"},
	CertificateCredential: append(slices.Clip(place), "certificate", "key"),
	TokenCredential:       append(slices.Clip(place), "token"),
	BootstrapCredential:   append(slices.Clip(place), "token"),
	EKSCredential:         append(slices.Clip(place), "eksCluster", "region", "role", "accessKey", "secretKey", "sessionToken"),
	ProxyCredential:       append(slices.Clip(place), "certificate", "key", "user", "groups"),
	BasicCredential:       append(slices.Clip(place), "user", "password"),
}

func kindNames() []string {
	var names []string
	for kind := range kindFields {
		names = append(names, string(kind))
	}
	slices.Sort(names)
	return names
}

type field struct {
	name string
	set  bool
}

func (c Credential) fields() []field {
	fields := []field{{"insecure", c.Insecure}, {"groups", len(c.Groups) > 0}}
	for name, value := range map[string]string{
		"server": c.Server, "ca": c.CA, "serverName": c.ServerName, "proxyURL": c.ProxyURL, "namespace": c.Namespace,
		"token": c.Token, "certificate": c.Certificate, "key": c.Key, "user": c.User, "password": c.Password,
		"eksCluster": c.EKSCluster, "region": c.Region, "role": c.Role, "accessKey": c.AccessKey, "secretKey": c.SecretKey,
		"sessionToken": c.SessionToken, "kubeconfig": c.Kubeconfig, "context": c.Context,
	} {
		fields = append(fields, field{name, value != ""})
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return fields
}

func (c Credential) checkServer() error {
	if c.Server != "" || c.Kind != EKSCredential {
		if err := checkServerURL(c.Server); err != nil {
			return err
		}
	}
	if c.CA != "" && c.Insecure {
		return wrong("insecure", "give one of the two", "a certificate authority is given, and also that the certificate is not to be checked")
	}
	if c.CA != "" {
		if _, err := parseCertificates(c.CA); err != nil {
			return wrong("ca", "give the certificate authority of the cluster as PEM", "the certificate authority cannot be read: %s", err)
		}
	}
	if c.Namespace != "" && !dnsLabel.MatchString(c.Namespace) {
		return wrong("namespace", "use lower-case letters, digits and hyphens", "%q is no name of a namespace", c.Namespace)
	}
	return checkProxyURL(c.ProxyURL)
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func checkServerURL(server string) error {
	const form = "write it as https://HOST:PORT"
	if server == "" {
		return wrong("server", form, "the URL of the API server is missing")
	}
	u, err := url.Parse(server)
	switch {
	// The error of url.Parse quotes what it was given, which may hold a password.
	case err != nil || u.Host == "" || u.Hostname() == "":
		return wrong("server", form, "the URL of the API server cannot be read")
	case u.User != nil:
		return wrong("server", "give them by a kind of their own, such as basic", "the URL of the API server carries credentials")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return wrong("server", form, "the URL of the API server has a query or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return wrong("server", "use https; plain http is for an address of this machine alone", "credentials would cross the network to %s in the clear", u.Host)
	}
	return wrong("server", form, "%q is no scheme of an API server", u.Scheme)
}

func isLoopback(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	return host == "localhost"
}

func checkProxyURL(proxy string) error {
	if proxy == "" {
		return nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
		return wrong("proxyURL", "write it as http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT", "the proxy URL cannot be read")
	}
	return nil
}

// checkToken keeps out what cannot be a header, such as a file with two lines.
func checkToken(token string) error {
	switch {
	case token == "":
		return wrong("token", "", "the token is missing")
	case strings.HasPrefix(token, "Bearer "):
		return wrong("token", `leave out the word "Bearer"`, "the token begins as an HTTP header does")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return wrong("token", "give the bare token, without quotes and in one line", "the token holds blanks or other characters that no token has")
	}
	return nil
}

func checkBootstrapToken(token string) error {
	if IsBootstrapToken(token) {
		return nil
	}
	return wrong("token", "it is the id and the secret of a Secret bootstrap-token-ID in kube-system; for any other token use bearer-token",
		"a bootstrap token has six characters, a dot and sixteen characters, each a-z or 0-9, as 07401b.f395accd246ae52d; this one has not")
}

func (c Credential) checkCertificate() error {
	if c.Certificate == "" || c.Key == "" {
		return wrong("certificate", "", "a client certificate and its key are needed, both as PEM")
	}
	if _, err := parseCertificates(c.Certificate); err != nil {
		return wrong("certificate", "give it as PEM", "the client certificate cannot be read: %s", err)
	}
	// The errors of X509KeyPair say what kind of block was found, and no more.
	if _, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key)); err != nil {
		return wrong("key", "give the unencrypted key that belongs to the certificate, as PEM", "the key cannot be used: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	return nil
}

func (c Credential) checkBasic() error {
	switch {
	case c.User == "" || strings.Contains(c.User, ":"):
		return wrong("user", "", "the user is missing or has a colon")
	case c.Password == "":
		return wrong("password", "", "the password is missing")
	}
	return nil
}

var (
	regionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	eksForm    = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	roleForm   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}$`)
)

func (c Credential) checkEKS() error {
	switch {
	case !eksForm.MatchString(c.EKSCluster):
		return wrong("eksCluster", "give the name that `aws eks list-clusters` shows", "%q is no name of an EKS cluster", c.EKSCluster)
	case !regionForm.MatchString(c.Region):
		return wrong("region", "write it as eu-west-1", "%q is no region of AWS", c.Region)
	case c.Role != "" && !roleForm.MatchString(c.Role):
		return wrong("role", "write it as arn:aws:iam::123456789012:role/NAME", "%q is no ARN of a role", c.Role)
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return wrong("accessKey", "give both, or none to use the server's own AWS credentials", "an access key and a secret key go together")
	case c.SessionToken != "" && c.AccessKey == "":
		return wrong("sessionToken", "give the access key and the secret key to it", "a session token does not stand alone")
	}
	return nil
}

func parseCertificates(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return found, nil
}
