package kube_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube/apiservertest"
	"github.com/towline/towline/internal/waittest"
)

// open connects, or the test ends.
func open(t testing.TB, credential kube.Credential) *kube.Cluster {
	t.Helper()
	c, err := kube.ConnectWith("test", credential)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// certificateOf is the credential of a client certificate.
func certificateOf(t testing.TB, s *apiservertest.Server, user string, groups []string, notAfter time.Time) kube.Credential {
	t.Helper()
	certificate, key, err := s.Client(user, groups, notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return kube.Credential{Kind: kube.CertificateCredential, Server: s.URL, CA: s.CA, Certificate: certificate, Key: key}
}

func proxyOf(t testing.TB, s *apiservertest.Server, name string) kube.Credential {
	t.Helper()
	certificate, key, err := s.Proxy(name)
	if err != nil {
		t.Fatal(err)
	}
	return kube.Credential{Kind: kube.ProxyCredential, Server: s.URL, CA: s.CA, Certificate: certificate, Key: key, User: "carol", Groups: []string{"deployers"}}
}

func eksOf(s *apiservertest.Server) kube.Credential {
	return kube.Credential{
		Kind: kube.EKSCredential, Server: s.URL, CA: s.CA, EKSCluster: eksCluster, Region: "eu-west-1",
		AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "session/token+with=signs",
	}
}

func tokenOf(s *apiservertest.Server, token string) kube.Credential {
	return kube.Credential{Kind: kube.TokenCredential, Server: s.URL, CA: s.CA, Token: token}
}

func admin(t testing.TB, s *apiservertest.Server) *kube.Cluster {
	t.Helper()
	return open(t, certificateOf(t, s, "admin", []string{"system:masters"}, time.Now().Add(time.Hour)))
}

// applyAll applies YAML documents.
func applyAll(t testing.TB, c *kube.Cluster, documents string) {
	t.Helper()
	for document := range strings.SplitSeq(documents, "\n---\n") {
		body, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(body); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Apply(t.Context(), o, kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// serviceAccount makes a service account and returns a token of it, as
// `kubectl create token` does.
func serviceAccount(t testing.TB, s *apiservertest.Server, namespace, name string) string {
	t.Helper()
	applyAll(t, admin(t, s), fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}\n---\n{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: %[1]s, name: %[2]s}}", namespace, name))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.AdminTLS()}}
	defer client.CloseIdleConnections()
	response, err := client.Post(s.URL+"/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token", "application/json",
		strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":600}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Status struct{ Token string } }
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status.Token == "" {
		t.Fatalf("token request: %v %s", err, text)
	}
	return answer.Status.Token
}

const bootstrapSecret = `apiVersion: v1
kind: Secret
metadata: {namespace: kube-system, name: bootstrap-token-07401b}
type: bootstrap.kubernetes.io/token
stringData: {token-id: 07401b, token-secret: f395accd246ae52d, usage-bootstrap-authentication: "true"}
`

// passwordProxy stands before the API server, checks passwords and vouches for
// their users.
func passwordProxy(t testing.TB, s *apiservertest.Server) *httptest.Server {
	t.Helper()
	certificate := certificateOf(t, s, "dave", nil, time.Now().Add(time.Hour))
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	settings := s.AdminTLS()
	settings.Certificates = []tls.Certificate{pair(t, certificate)}
	forward.Transport = &http.Transport{TLSClientConfig: settings}
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "dave" || password != "the-password" {
			http.Error(w, "<h1>Who are you?</h1>", http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy
}

func TestEachCredentialOpensTheCluster(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	applyAll(t, admin(t, s), bootstrapSecret)
	proxy := passwordProxy(t, s)
	for name, c := range map[string]struct {
		credential kube.Credential
		user       string
		groups     []string
	}{
		"a client certificate":         {certificateOf(t, s, "bob", []string{"deployers"}, time.Now().Add(time.Hour)), "bob", []string{"deployers"}},
		"a static bearer token":        {tokenOf(s, staticToken), "alice", []string{"deployers", "readers"}},
		"a token of a service account": {tokenOf(s, serviceAccount(t, s, "tokens", "deployer")), "system:serviceaccount:tokens:deployer", []string{"system:serviceaccounts"}},
		"a bootstrap token": {
			kube.Credential{Kind: kube.BootstrapCredential, Server: s.URL, CA: s.CA, Token: bootstrapToken}, "system:bootstrap:07401b", []string{"system:bootstrappers"},
		},
		"an EKS token":            {eksOf(s), "aws:AKIDEXAMPLE", []string{"eks"}},
		"an authenticating proxy": {proxyOf(t, s, apiservertest.ProxyName), "carol", []string{"deployers"}},
		"a password before a proxy that checks it": {
			kube.Credential{Kind: kube.BasicCredential, Server: proxy.URL, Insecure: true, User: "dave", Password: "the-password"}, "dave", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := open(t, c.credential)
			if version, err := cluster.Ping(t.Context()); err != nil || !strings.HasPrefix(version, "v1.") {
				t.Errorf("ping: %q, %v", version, err)
			}
			got, err := cluster.WhoAmI(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.User != c.user {
				t.Errorf("user %q, want %q", got.User, c.user)
			}
			for _, group := range c.groups {
				if !slices.Contains(got.Groups, group) {
					t.Errorf("groups %v lack %q", got.Groups, group)
				}
			}
		})
	}
}

// TestAKubeconfigOpensTheCluster goes by way of a file, both where it lies and
// taken out of it to be stored.
func TestAKubeconfigOpensTheCluster(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	dir := t.TempDir()
	certificate := certificateOf(t, s, "erin", nil, time.Now().Add(time.Hour))
	for name, text := range map[string]string{
		"ca.crt": s.CA, "erin.crt": certificate.Certificate, "erin.key": certificate.Key, "token": staticToken + "\n",
		"plugin": "#!/bin/sh\necho '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"" + staticToken + "\"}}'\n",
		"config": fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: ca.crt}}]
users:
- {name: files, user: {client-certificate: erin.crt, client-key: erin.key}}
- {name: token, user: {token: %s}}
- {name: tokenFile, user: {tokenFile: token}}
- {name: exec, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}}}
- {name: aws, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [eks, get-token], interactiveMode: Never}}}
- {name: gcp, user: {auth-provider: {name: gcp}}}
- {name: as, user: {token: x, as: root}}
- {name: none, user: {}}
contexts:
- {name: files, context: {cluster: c, user: files, namespace: shop}}
- {name: token, context: {cluster: c, user: token}}
- {name: tokenFile, context: {cluster: c, user: tokenFile}}
- {name: exec, context: {cluster: c, user: exec}}
- {name: aws, context: {cluster: c, user: aws}}
- {name: gcp, context: {cluster: c, user: gcp}}
- {name: as, context: {cluster: c, user: as}}
- {name: none, context: {cluster: c, user: none}}
- {name: dangling, context: {cluster: c, user: nobody}}
current-context: files
`, s.URL, staticToken),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "config")
	for kubeContext, want := range map[string]string{"": "erin", "files": "erin", "token": "alice", "tokenFile": "alice", "exec": "alice"} {
		t.Run("where it lies, by context "+kubeContext, func(t *testing.T) {
			t.Parallel()
			cluster := open(t, kube.Credential{Kind: kube.KubeconfigCredential, Kubeconfig: path, Context: kubeContext})
			if got, err := cluster.WhoAmI(t.Context()); err != nil || got.User != want {
				t.Errorf("user %q, %v, want %q", got.User, err, want)
			}
		})
	}
	for kubeContext, want := range map[string]string{"": "erin", "token": "alice", "tokenFile": "alice"} {
		t.Run("taken out of it, by context "+kubeContext, func(t *testing.T) {
			t.Parallel()
			credential, err := kube.FromKubeconfig(path, kubeContext)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := open(t, credential).WhoAmI(t.Context()); err != nil || got.User != want {
				t.Errorf("user %q, %v, want %q", got.User, err, want)
			}
		})
	}
	for kubeContext, want := range map[string]string{
		"exec": "runs no program that a request names", "aws": "--eks CLUSTER --region REGION", "gcp": `auth provider "gcp"`,
		"as": `impersonates "root"`, "none": "has no credentials", "dangling": "not both there", "missing": `has no context "missing"`,
	} {
		t.Run("not taken out of it, by context "+kubeContext, func(t *testing.T) {
			t.Parallel()
			if got, err := kube.FromKubeconfig(path, kubeContext); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, error %v, want %q in it", got, err, want)
			}
		})
	}
}

// TestTheMountedServiceAccountIsReadAgain renews the token as the kubelet does,
// and takes the old one away.
func TestTheMountedServiceAccountIsReadAgain(t *testing.T) {
	s := apiServer(t)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", u.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", u.Port())
	dir := t.TempDir()
	mount := func(token string) {
		t.Helper()
		for name, text := range map[string]string{"ca.crt": s.CA, "namespace": "mounted", "token": token} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mount(serviceAccount(t, s, "mounted", "first"))
	cluster, err := kube.ConnectInCluster("test", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cluster.WhoAmI(t.Context()); err != nil || got.User != "system:serviceaccount:mounted:first" || cluster.Namespace != "mounted" {
		t.Fatalf("%+v in %q, %v", got, cluster.Namespace, err)
	}
	second := serviceAccount(t, s, "mounted", "second")
	mount("a-token-that-nobody-knows")
	stranger, err := kube.ConnectInCluster("test", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.WhoAmI(t.Context())
	mustExplain(t, err, kube.Credential{Token: "a-token-that-nobody-knows"}, []string{"401", "The kubelet renews it"})
	mount(second)
	if err := admin(t, s).Delete(t.Context(), kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "mounted", Name: "first"}, ""); err != nil {
		t.Fatal(err)
	}
	// The API server may remember the old token for a moment.
	waittest.Until(t, "the new token is in use", func() bool {
		got, err := cluster.WhoAmI(t.Context())
		return err == nil && got.User == "system:serviceaccount:mounted:second"
	})
}

func TestWithoutAPodThereIsNoMountedServiceAccount(t *testing.T) {
	t.Parallel()
	if _, err := kube.ConnectInCluster("home", "", t.TempDir()); err == nil || !strings.Contains(err.Error(), "runs in no pod") {
		t.Errorf("error %v", err)
	}
}

func TestRefusedCredentialsAreExplained(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	applyAll(t, admin(t, s), bootstrapSecret)
	strangers, err := apiservertest.NewPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stranger := &apiservertest.Server{URL: s.URL, PKI: strangers}
	past := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	signed := func(pki *apiservertest.PKI, issuer string, expires time.Time) string {
		t.Helper()
		token, err := pki.ServiceAccountToken(map[string]any{
			"iss": issuer, "aud": []string{issuer}, "sub": "system:serviceaccount:web:deployer", "exp": expires.Unix(), "nbf": past.Unix() - 600,
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	foreign := certificateOf(t, stranger, "mallory", nil, time.Now().Add(time.Hour))
	foreign.CA = s.CA
	wrongKey := eksOf(s)
	wrongKey.SecretKey = "another-secret-key"
	proxy := passwordProxy(t, s)
	for name, c := range map[string]struct {
		credential kube.Credential
		want       []string
	}{
		"a token that nobody knows": {tokenOf(s, "a-secret-nobody-knows"), []string{"401 Unauthorized", "bearer token without a readable content", "towline cluster add NAME --replace"}},
		"an expired token": {
			tokenOf(s, signed(s.PKI, apiservertest.Issuer, past)), []string{"401", `of "system:serviceaccount:web:deployer", expired at 2024-02-29T12:00:00Z`},
		},
		"a token of another cluster": {
			tokenOf(s, signed(strangers, "https://elsewhere", time.Now().Add(time.Hour))), []string{"401", `from issuer "https://elsewhere"`, "belongs to another cluster"},
		},
		"an expired certificate":             {certificateOf(t, s, "bob", []string{"ops"}, past), []string{"401", "client certificate of CN=bob, O=ops", "expired at 2024-02-29T12:00:00Z"}},
		"a certificate of another authority": {foreign, []string{"401", "CN=mallory", `signed by "test-ca"`, "does not trust who signed it"}},
		"a bootstrap token with a wrong secret": {
			kube.Credential{Kind: kube.BootstrapCredential, Server: s.URL, CA: s.CA, Token: "07401b.0000000000000000"},
			[]string{"401", "bootstrap token with id 07401b", "--enable-bootstrap-token-auth"},
		},
		"an EKS token with a wrong key":               {wrongKey, []string{"401", "EKS token, signed with access key AKIDEXAMPLE for region eu-west-1", "create-access-entry"}},
		"a proxy whose name is not allowed":           {proxyOf(t, s, "some-proxy"), []string{"401", `user "carol", with the proxy's client certificate of CN=some-proxy`, "--requestheader-allowed-names"}},
		"a password that the API server cannot check": {kube.Credential{Kind: kube.BasicCredential, Server: s.URL, CA: s.CA, User: "dave", Password: "the-password"}, []string{`basic authentication as user "dave"`, "removed basic authentication in 1.19"}},
		"a password that the proxy refuses": {
			kube.Credential{Kind: kube.BasicCredential, Server: proxy.URL, Insecure: true, User: "dave", Password: "a-wrong-password"},
			[]string{"what stands before the API server refuses", `basic authentication as user "dave"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, c.credential).WhoAmI(t.Context())
			mustExplain(t, err, c.credential, c.want)
		})
	}
}

// mustExplain checks the text of an error, and that no secret is in it.
func mustExplain(t *testing.T, err error, credential kube.Credential, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want %q in it", err, part)
		}
	}
	for _, secret := range []string{credential.Token, credential.Key, credential.Password, credential.SecretKey, credential.SessionToken, "k8s-aws-v1."} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("a secret is in the error %q", err)
		}
	}
}

func TestAServerThatCannotBeTrustedOrReachedIsExplained(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	strangers, err := apiservertest.NewPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*kube.Credential)) kube.Credential {
		credential := tokenOf(s, staticToken)
		change(&credential)
		return credential
	}
	for name, c := range map[string]struct {
		credential kube.Credential
		want       []string
	}{
		"an authority that this machine does not know": {with(func(c *kube.Credential) { c.CA = "" }), []string{"x509", `signed by "test-ca"`, "--ca-file"}},
		"an authority of another cluster":              {with(func(c *kube.Credential) { c.CA = strangers.CA }), []string{"x509", `the authority that was given is "test-ca"`}},
		"a name that the certificate does not carry": {
			with(func(c *kube.Credential) { c.ServerName = "production.example" }),
			[]string{`is not for "production.example" but for kubernetes, localhost, 127.0.0.1`, "--tls-server-name"},
		},
		"a port that nobody listens on":            {with(func(c *kube.Credential) { c.Server = "https://127.0.0.1:1" }), []string{"connection refused: nobody listens at 127.0.0.1:1"}},
		"a proxy on a port that nobody listens on": {with(func(c *kube.Credential) { c.ProxyURL = "http://127.0.0.1:1" }), []string{"connection refused: nobody listens at 127.0.0.1:1 or its proxy"}},
		"a server without TLS":                     {with(func(c *kube.Credential) { c.Server = strings.Replace(plain.URL, "http:", "https:", 1) }), []string{"does not speak TLS"}},
		"a name that does not resolve":             {with(func(c *kube.Credential) { c.Server = "https://no-such-host.invalid" }), []string{"no such host: no-such-host.invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, c.credential).Ping(t.Context())
			mustExplain(t, err, c.credential, append(c.want, `stored cluster "test"`))
		})
	}
	t.Run("the right name makes up for another address", func(t *testing.T) {
		t.Parallel()
		credential := with(func(c *kube.Credential) { c.ServerName = "kubernetes" })
		if got, err := open(t, credential).WhoAmI(t.Context()); err != nil || got.User != "alice" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("an unchecked certificate opens too", func(t *testing.T) {
		t.Parallel()
		credential := with(func(c *kube.Credential) { c.CA, c.Insecure = "", true })
		if got, err := open(t, credential).WhoAmI(t.Context()); err != nil || got.User != "alice" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func pair(t testing.TB, credential kube.Credential) tls.Certificate {
	t.Helper()
	found, err := tls.X509KeyPair([]byte(credential.Certificate), []byte(credential.Key))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
