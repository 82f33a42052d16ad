package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// conn is a client's connection, which can be reset.
type conn struct {
	*net.TCPConn
	proxy *Proxy
}

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.proxy.mu.Lock()
	delete(c.proxy.conns, c)
	c.proxy.mu.Unlock()
	return c.TCPConn.Close()
}

// reset ends the connection as a machine does that has lost it.
func (c *conn) reset() {
	_ = c.SetLinger(0) // without it the client would see an orderly end
	_ = c.Close()
}

// connKey finds a request's connection in its context.
type connKey struct{}

func connOf(r *http.Request) *conn {
	return r.Context().Value(connKey{}).(*tls.Conn).NetConn().(*conn)
}

// listener hands out connections that can be reset.
type listener struct {
	*net.TCPListener
	proxy *Proxy
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	tcp, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: tcp, proxy: l.proxy}
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.proxy.conns[c] = true
	return c, nil
}

// listen begins to take connections at an address.
func (p *Proxy) listen(address string) error {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for clients of the API server: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return tcp.Close()
	}
	p.address, p.listener = tcp.Addr().String(), tcp
	go func() { _ = p.server.ServeTLS(&listener{tcp.(*net.TCPListener), p}, "", "") }() // it ends with the listener
	return nil
}

// leave resets all connections and takes none for a time. When it is away
// already, that does not take longer.
func (p *Proxy) leave(span time.Duration) {
	p.mu.Lock()
	if p.listener == nil || p.closed {
		p.mu.Unlock()
		return
	}
	_ = p.listener.Close()
	p.listener = nil
	conns := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	back := time.NewTimer(span)
	p.away.Go(func() { p.comeBack(back) })
	p.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
}

// comeBack takes connections again once the time is over. The port is hardly
// taken by somebody else meanwhile, but may need a moment to be free.
func (p *Proxy) comeBack(over *time.Timer) {
	select {
	case <-over.C:
	case <-p.ended:
		return
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for p.listen(p.address) != nil {
		select {
		case <-again.C:
		case <-p.ended:
			return
		}
	}
}

// close ends the proxy.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	close(p.ended)
	p.mu.Unlock()
	_ = p.server.Close()
	p.away.Wait()
}

// writeKubeconfig writes the kubeconfig that leads through the proxy.
func (p *Proxy) writeKubeconfig(dir string, authority []byte) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["faulty"] = &clientcmdapi.Cluster{Server: "https://" + p.address, CertificateAuthorityData: authority}
	config.AuthInfos["faulty"] = &clientcmdapi.AuthInfo{Token: p.token}
	config.Contexts["faulty"] = &clientcmdapi.Context{Cluster: "faulty", AuthInfo: "faulty"}
	config.CurrentContext = "faulty"
	path := filepath.Join(dir, "faulty.yaml")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of the proxy: %w", err)
	}
	return path, nil
}

// selfSigned makes a certificate for loopback and its PEM form.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "faulty"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make a certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if text == nil {
		return tls.Certificate{}, nil, errors.New("encode the certificate")
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text, nil
}
