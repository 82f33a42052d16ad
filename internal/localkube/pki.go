package localkube

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// validity is how long certificates last. They guard one machine's own
// cluster, and whoever can read them is root there.
const validity = 10 * 365 * 24 * time.Hour

// certificate describes one certificate of the cluster. All keys are made on
// this machine, once, and only root may read them.
type certificate struct {
	file   string   // name of the .crt and .key files
	issuer string   // file of the authority: "ca" or "etcd-ca"; "" signs itself
	user   string   // common name: for a client, the user that Kubernetes sees
	groups []string // of that user
	hosts  []string // names and addresses of a server
}

// The users of the API server, by the file of their certificate and
// kubeconfig.
const (
	userAdmin     = "admin"
	userManager   = "kube-controller-manager"
	userScheduler = "kube-scheduler"
	userProxy     = "kube-proxy"
	userDNS       = "coredns"
	userAPIServer = "apiserver-kubelet-client" // the API server as a client of kubelets
	userEtcd      = "apiserver-etcd-client"
)

func controlPlaneCertificates(l layout) []certificate {
	loopback := l.loopback().String()
	return []certificate{
		{file: "ca", user: "towline-local-kubernetes"},
		{file: "etcd-ca", user: "towline-local-etcd"},
		{file: "etcd", issuer: "etcd-ca", user: "etcd", hosts: []string{loopback}},
		{file: userEtcd, issuer: "etcd-ca", user: "kube-apiserver"},
		{file: "apiserver", issuer: "ca", user: "kube-apiserver", hosts: []string{
			l.host().String(), l.apiService().String(), "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{file: userAPIServer, issuer: "ca", user: "towline:apiserver"},
		{file: userAdmin, issuer: "ca", user: "towline-admin", groups: []string{"system:masters"}},
		{file: userManager, issuer: "ca", user: "system:kube-controller-manager"},
		{file: userScheduler, issuer: "ca", user: "system:kube-scheduler"},
		{file: userProxy, issuer: "ca", user: "system:kube-proxy"},
		{file: userDNS, issuer: "ca", user: "towline:coredns"},
	}
}

// nodeCertificate serves a kubelet both as a server and as a client.
func nodeCertificate(l layout, n int) certificate {
	return certificate{
		file: nodeName(n), issuer: "ca", user: "system:node:" + nodeName(n), groups: []string{"system:nodes"},
		hosts: []string{nodeName(n), l.node(n).String()},
	}
}

// ensureControlPlanePKI makes the certificates, the key that signs service
// accounts' tokens, and the kubeconfigs, as far as they are missing.
func ensureControlPlanePKI(p paths, l layout) error {
	for _, c := range controlPlaneCertificates(l) {
		if err := ensureCertificate(p, c); err != nil {
			return err
		}
	}
	if _, err := os.Stat(p.pki("sa.key")); errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if err := writeKey(p.pki("sa.key"), key); err != nil {
			return err
		}
	}
	for _, user := range []string{userManager, userScheduler, userProxy, userDNS, userAdmin} {
		if err := ensureKubeconfig(p, l, user); err != nil {
			return err
		}
	}
	return nil
}

func ensureNodePKI(p paths, l layout, n int) error {
	if err := ensureCertificate(p, nodeCertificate(l, n)); err != nil {
		return err
	}
	return ensureKubeconfig(p, l, nodeName(n))
}

func ensureCertificate(p paths, c certificate) error {
	// The certificate is written after its key, so it stands for both.
	if _, err := os.Stat(p.pki(c.file + ".crt")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key %s: %w", c.file, err)
	}
	template, err := c.template()
	if err != nil {
		return err
	}
	parent, signer := template, crypto.Signer(key)
	if c.issuer != "" {
		pair, err := tls.LoadX509KeyPair(p.pki(c.issuer+".crt"), p.pki(c.issuer+".key"))
		if err != nil {
			return fmt.Errorf("read authority %s: %w", c.issuer, err)
		}
		authority, ok := pair.PrivateKey.(crypto.Signer)
		if !ok {
			return fmt.Errorf("read authority %s: its key cannot sign", c.issuer)
		}
		parent, signer = pair.Leaf, authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("sign certificate %s: %w", c.file, err)
	}
	if err := writeKey(p.pki(c.file+".key"), key); err != nil {
		return err
	}
	return writeFile(p.pki(c.file+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (c certificate) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: c.user, Organization: c.groups},
		NotBefore:             time.Now().Add(-time.Hour), // The clock of a virtual machine may step back.
		NotAfter:              time.Now().Add(validity),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if c.issuer == "" {
		t.IsCA, t.ExtKeyUsage = true, nil
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	if len(c.hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range c.hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t, nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// ensureKubeconfig writes the kubeconfig of a user, self-contained, so that
// it can be copied. It is written anew each time: a copy of facts, no secret
// of its own.
func ensureKubeconfig(p paths, l layout, user string) error {
	var data [3]string
	for i, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
		text, err := os.ReadFile(p.pki(file))
		if err != nil {
			return fmt.Errorf("write kubeconfig of %s: %w", user, err)
		}
		data[i] = base64.StdEncoding.EncodeToString(text)
	}
	path := p.kubeconfig(user)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster: {server: %[2]q, certificate-authority-data: %[4]s}
users:
- name: %[1]s-%[3]s
  user: {client-certificate-data: %[5]s, client-key-data: %[6]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s-%[3]s}
current-context: %[1]s
`, p.name, l.apiServer(), user, data[0], data[1], data[2]))
}
