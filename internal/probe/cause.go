package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"unicode"
)

// closed is the cause of a request whose connection the server had closed, or
// closed while it was written.
const closed = "connection closed"

// timeout is the cause of a request whose answer did not come in time.
const timeout = "timeout"

// causes names the errors that a request meets on its way, most telling first.
var causes = []struct {
	err  error
	name string
}{
	{syscall.ECONNREFUSED, "connection refused"},
	{syscall.ECONNRESET, "connection reset"},
	{syscall.EPIPE, closed},
	{syscall.EHOSTUNREACH, "no route to host"},
	{syscall.ENETUNREACH, "network unreachable"},
	{errClosed, closed},
	{net.ErrClosed, closed},
	{context.DeadlineExceeded, timeout},
	{io.ErrUnexpectedEOF, "unexpected EOF"},
	{io.EOF, "EOF"},
}

// cause names what went wrong in a few words, without addresses, so that equal
// losses can be counted together.
func cause(err error) string {
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	var dns *net.DNSError
	var network net.Error
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &dns):
		return "name not resolved"
	case errors.As(err, &network) && network.Timeout():
		return timeout
	case errors.As(err, &cert), errors.As(err, &authority):
		return "certificate not trusted"
	case strings.Contains(err.Error(), "server closed idle connection"):
		// net/http keeps this error to itself. The connection was closed
		// after the request was written and before an answer began.
		return closed
	}
	return clip(innermost(err).Error(), maxText)
}

// Cut tells whether requests lost by this cause, as a verdict names it, had a
// connection that the other side closed or reset.
func Cut(cause string) bool {
	switch cause {
	case closed, "connection reset", "EOF", "unexpected EOF":
		return true
	}
	return false
}

// exhausted says that this machine had no descriptor, port or buffer left for
// the request: the prober's fault, not the application's.
func exhausted(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// clip makes text that may come from anywhere fit to be shown and kept.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
