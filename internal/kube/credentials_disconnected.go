package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// ConnectionError says why no connection to an API server comes about.
type ConnectionError struct {
	Message string // what, and where
	Hint    string
	Err     error
}

func (e *ConnectionError) Error() string { return e.Message + ". " + e.Hint }

// Unwrap returns the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

// disconnected explains an error that no answer came with. What it does not
// know it leaves alone.
func (e *explainer) disconnected(err error) error {
	message, hint := e.untrusted(err)
	if message == "" {
		message, hint = e.unreached(err)
	}
	if message == "" {
		return err
	}
	return &ConnectionError{Message: message, Hint: hint, Err: err}
}

// untrusted explains why the certificate of a server was not accepted.
func (e *explainer) untrusted(err error) (message, hint string) {
	chain := presentedChain(err)
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		issuer := "an unknown authority"
		if unknown.Cert != nil {
			issuer = fmt.Sprintf("%q, which is not trusted", unknown.Cert.Issuer.CommonName)
		}
		message = fmt.Sprintf("the certificate of %s is signed by %s (x509: certificate signed by unknown authority)", e.config.Host, issuer)
		if trusted, err := parseCertificates(string(e.config.CAData)); err == nil {
			return message + fmt.Sprintf("; the authority that was given is %q", trusted[0].Subject.CommonName), "Give the certificate authority of this cluster: it may have been made anew, or this is another server"
		}
		return message, "Give the cluster's certificate authority: `--ca-file FILE`, or certificate-authority-data in a kubeconfig"
	}
	if other, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate of %s is not for %q but for %s", e.config.Host, other.Host, names(other.Certificate)),
			"Use one of these names in the URL, or name it by `--tls-server-name NAME` (tls-server-name in a kubeconfig)"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired && len(chain) > 0 {
		leaf := chain[0]
		return fmt.Sprintf("the certificate of %s is valid from %s to %s only", e.config.Host, leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)),
			"Renew the API server's certificate, or set this machine's clock"
	}
	return "", ""
}

func presentedChain(err error) []*x509.Certificate {
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unverified.UnverifiedCertificates
	}
	return nil
}

func names(certificate *x509.Certificate) string {
	all := append([]string{}, certificate.DNSNames...)
	for _, address := range certificate.IPAddresses {
		all = append(all, address.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return strings.Join(all, ", ")
}

// unreached explains why there was nobody to talk to.
func (e *explainer) unreached(err error) (message, hint string) {
	proxy := ""
	if e.config.Proxy != nil {
		proxy = " or its proxy"
	}
	var record tls.RecordHeaderError
	var lookup *net.DNSError
	var alert tls.AlertError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		local := "Check that the cluster runs and that the address is right"
		if !e.stored {
			local += " in the kubeconfig; a local cluster is started by `towline cluster up`"
		}
		return fmt.Sprintf("connection refused: nobody listens at %s%s", dialed(err, e.config.Host), proxy), local
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return fmt.Sprintf("no such host: %s", lookup.Name), "Check the server address" + proxy
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("what listens at %s does not speak TLS", e.config.Host), "Check the port and the scheme of the server address" + proxy
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		saw, _ := e.certificate()
		return fmt.Sprintf("%s ends the TLS handshake: %s; %s", e.config.Host, last(err), saw), e.renew()
	}
	return "", ""
}

// dialed is the address that was dialed, which may be that of a proxy.
func dialed(err error, otherwise string) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if operation, ok := err.(*net.OpError); ok && operation.Addr != nil { //nolint:errorlint // it is looked for at each depth
			return operation.Addr.String()
		}
	}
	return otherwise
}

// last is the innermost text of an error.
func last(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}
