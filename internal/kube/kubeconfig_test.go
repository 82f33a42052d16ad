package kube

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func TestKubeconfigSaysHowToReachTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		credential Credential
		change     func(*rest.Config)
	}{
		"a token": {credential: Credential{Kind: TokenCredential, Token: "token", Insecure: true}},
		"a password, through a proxy": {credential: Credential{Kind: BasicCredential, User: "alice", Password: "secret", Insecure: true, ServerName: "kubernetes",
			ProxyURL: "http://user:secret@127.0.0.1:3128"}},
		"the token file of a pod": {credential: Credential{Kind: TokenCredential, Token: "token", Insecure: true}, change: func(c *rest.Config) {
			c.BearerToken, c.BearerTokenFile = "token", "/dev/null"
		}},
		"somebody else's rights": {credential: Credential{Kind: TokenCredential, Token: "token", Insecure: true}, change: func(c *rest.Config) {
			c.Impersonate = rest.ImpersonationConfig{UserName: "bob", UID: "1", Groups: []string{"a", "b"}, Extra: map[string][]string{"k": {"v"}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.credential.Server, c.credential.Namespace = "https://127.0.0.1:6443", "shop"
			cluster, err := ConnectWith("prod", c.credential)
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(cluster.config)
			}
			read := connectTo(t, cluster)
			if read.Context != "prod" || read.Namespace != "shop" || read.Server != cluster.Server {
				t.Errorf("context %s, namespace %s, server %s", read.Context, read.Namespace, read.Server)
			}
			said := func(c *rest.Config) rest.Config {
				return rest.Config{BearerToken: c.BearerToken, BearerTokenFile: c.BearerTokenFile, Username: c.Username, Password: c.Password,
					Impersonate: c.Impersonate, TLSClientConfig: rest.TLSClientConfig{Insecure: c.Insecure, ServerName: c.ServerName}}
			}
			if diff := cmp.Diff(said(cluster.config), said(read.config)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want, err := cluster.proxyURL()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read.proxyURL(); got != want {
				t.Errorf("proxy %q, want %q: %v", got, want, err)
			}
		})
	}
}

// connectTo connects as another program would.
func connectTo(t *testing.T, cluster *Cluster) *Cluster {
	t.Helper()
	text, err := cluster.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := Connect(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestKubeconfigHasTheTokenThatIsMadeOnTheSpot(t *testing.T) {
	t.Parallel()
	cluster, err := ConnectWith("eks", Credential{Kind: EKSCredential, Server: "https://127.0.0.1:6443", Insecure: true,
		EKSCluster: "shop", Region: "eu-west-1", AccessKey: "AKIDEXAMPLE", SecretKey: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if token := connectTo(t, cluster).config.BearerToken; !strings.HasPrefix(token, "k8s-aws-v1.") {
		t.Errorf("token %q", token)
	}
}

func TestKubeconfigSaysWhatItCannotSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrap func(http.RoundTripper) http.RoundTripper
		says string
	}{
		"a header of its own": {func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				r.Header.Set("X-Remote-User", "alice")
				return next.RoundTrip(r)
			})
		}, "X-Remote-User"},
		"another scheme": {func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				r.Header.Set("Authorization", "Negotiate abc")
				return next.RoundTrip(r)
			})
		}, "no bearer token"},
		"a transport of its own": {nil, "cannot be written down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := ConnectWith("prod", Credential{Kind: TokenCredential, Server: "https://127.0.0.1:6443", Insecure: true, Token: "token"})
			if err != nil {
				t.Fatal(err)
			}
			if c.wrap != nil {
				cluster.config.Wrap(c.wrap)
			} else {
				cluster.config.Transport = http.DefaultTransport
			}
			if _, err := cluster.Kubeconfig(); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "cluster prod") {
				t.Errorf("error %v", err)
			}
		})
	}
}
