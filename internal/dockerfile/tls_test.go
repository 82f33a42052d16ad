package dockerfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/dockerfile/enclosure"
	"github.com/towline/towline/internal/waittest"
)

// authority makes certificates.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a.cert = &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, err = x509.ParseCertificate(a.sign(a.cert, a.cert, &a.key.PublicKey))
	must(t, err)
	return a
}

func (a *authority) sign(cert, by *x509.Certificate, key *ecdsa.PublicKey) []byte {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(a.t, err)
	cert.SerialNumber, cert.Subject = serial, pkix.Name{CommonName: "towline test " + serial.String()}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, by, key, a.key)
	must(a.t, err)
	return der
}

// directory has a certificate for 127.0.0.1 of this authority's, its key, and the
// certificate of the authority that the other side must be of.
func (a *authority) directory(other *authority) string {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	cert := a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey)
	secret, err := x509.MarshalECPrivateKey(key)
	must(a.t, err)
	dir := a.t.TempDir()
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: other.cert.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		must(a.t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

// listening is what buildkitd says of its address.
var listening = regexp.MustCompile(`running server on (127\.0\.0\.1:\d+)`)

// startTLS runs a buildkitd that speaks TLS with those of its authority alone, and
// returns its address.
func startTLS(t testing.TB, certificates, host string) string {
	t.Helper()
	containers, err := enclosure.Runtime()
	must(t, err)
	buildkitd, err := daemon.Finder{}.Find(t.Context(), func(string) {})
	must(t, err)
	dir := t.TempDir()
	group := "towline-tls-" + filepath.Base(filepath.Dir(dir))
	settings := filepath.Join(dir, "buildkitd.toml")
	must(t, os.WriteFile(settings, fmt.Appendf(nil, `root = %q
[grpc]
address = ["tcp://127.0.0.1:0"]
[grpc.tls]
cert = "%[2]s/cert.pem"
key = "%[2]s/key.pem"
ca = "%[2]s/ca.pem"
[worker.containerd]
enabled = false
[worker.oci]
binary = %[3]q
networkMode = "host"
defaultCgroupParent = %[4]q
[registry.%[5]q]
http = true
`, filepath.Join(dir, "state"), certificates, containers, "/"+group, host), 0o600))
	said := &waittest.Log{}
	command := append(program(t), buildkitd, "--config", settings)
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // The enclosure ends it.
	cmd.Env, cmd.Stdout, cmd.Stderr = append(enclosure.Environ(), "HOME="+dir), said, said
	e, err := enclosure.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		e.Stop(5 * time.Second)
		must(t, enclosure.SweepGroups(group))
	})
	said.Await(t, "running server on 127.0.0.1:")
	return listening.FindStringSubmatch(said.String())[1]
}

func TestABuildKitWithCertificates(t *testing.T) {
	t.Parallel()
	host := startRegistry(t, "")
	right, wrong := newAuthority(t), newAuthority(t)
	address := "tcp://" + startTLS(t, right.directory(right), host)
	build := func(t *testing.T, certificates string) (place, dockerfile.Build, *waittest.Log) {
		t.Helper()
		p := place{t, dockerfile.NewBuilder(slog.New(slog.DiscardHandler), &buildkit.Remote{Address: address, TLS: certificates}), host, ""}
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nRUN echo there > /file\n"})
		return p, b, said
	}
	t.Run("builds for who has one of the same authority", func(t *testing.T) {
		t.Parallel()
		p, b, said := build(t, right.directory(right))
		if got := files(t, p.made(b, said))["file"]; got != "there\n" {
			t.Errorf("the file is %q", got)
		}
	})
	half := right.directory(right)
	must(t, os.Remove(filepath.Join(half, "key.pem")))
	for name, c := range map[string]struct{ certificates, want string }{
		"takes no client of another authority":    {wrong.directory(right), "tls"},
		"is not taken for one that it is not":     {right.directory(wrong), "unknown authority"},
		"wants TLS":                               {"", "certificates"},
		"says which file of a directory is amiss": {half, "key.pem: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, b, _ := build(t, c.certificates)
			_, err := p.builder.Build(t.Context(), b)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), address) {
				t.Errorf("got %v; want one that says %q", err, c.want)
			}
		})
	}
}
