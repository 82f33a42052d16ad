package kube_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube/apiservertest"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// keys makes a PKI without a server.
func keys(t testing.TB) *apiservertest.PKI {
	t.Helper()
	pki, err := apiservertest.NewPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func TestACredentialIsChecked(t *testing.T) {
	t.Parallel()
	pki := keys(t)
	certificate, key, err := pki.Client("bob", nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := pki.Client("bob", nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "the-secret"
	token := func(change func(*kube.Credential)) kube.Credential {
		c := kube.Credential{Kind: kube.TokenCredential, Server: "https://k8s.example", Token: secret}
		change(&c)
		return c
	}
	server := func(url string) kube.Credential { return token(func(c *kube.Credential) { c.Server = url }) }
	for name, c := range map[string]struct {
		credential kube.Credential
		want       string // part of the error, empty when there is none
	}{
		"a token and a URL are enough":                  {token(func(*kube.Credential) {}), ""},
		"a URL may have a path":                         {server("https://rancher.example/k8s/clusters/c-1"), ""},
		"http is good for this machine":                 {server("http://127.0.0.1:8001"), ""},
		"http is good for this machine by name":         {server("http://localhost:8001"), ""},
		"http is good for this machine over IPv6":       {server("http://[::1]:8001"), ""},
		"http is refused for any other":                 {server("http://10.0.0.1:8001"), "in the clear"},
		"http is refused for a name that only looks so": {server("http://localhost.example"), "in the clear"},
		"a URL is needed":                               {server(""), "URL of the API server is missing"},
		"a URL has a scheme":                            {server("k8s.example"), "cannot be read"},
		"a URL has a host":                              {server("https://:6443"), "cannot be read"},
		"a URL has the scheme of an API server":         {server("file://host/etc/passwd"), "no scheme"},
		"a URL carries no password":                     {server("https://user:" + secret + "@k8s.example"), "carries credentials"},
		"a URL that cannot be read is not quoted":       {server("https://user:" + secret + "@k8s.example:port"), "cannot be read"},
		"a URL has no query":                            {server("https://k8s.example?x=1"), "query"},
		"a kind must be known":                          {kube.Credential{Kind: "password"}, `"password" is no way to sign in: it is one of basic, bearer-token`},
		"a kind must be there":                          {kube.Credential{}, `"" is no way`},
		"a token is needed":                             {token(func(c *kube.Credential) { c.Token = "" }), "token is missing"},
		"a token has one line":                          {token(func(c *kube.Credential) { c.Token = secret + "\n" + secret }), "in one line"},
		"a token is no header":                          {token(func(c *kube.Credential) { c.Token = "Bearer " + secret }), `leave out the word "Bearer"`},
		"what another kind needs is refused":            {token(func(c *kube.Credential) { c.Password = secret }), "no use for password"},
		"a path is refused but for a kubeconfig":        {token(func(c *kube.Credential) { c.Kubeconfig = "/etc/shadow" }), "no use for kubeconfig"},
		"an authority is PEM":                           {token(func(c *kube.Credential) { c.CA = secret }), "certificate authority cannot be read: no certificate in it"},
		"an authority is not given and ignored":         {token(func(c *kube.Credential) { c.CA, c.Insecure = pki.CA, true }), "give one of the two"},
		"a proxy has a known scheme":                    {token(func(c *kube.Credential) { c.ProxyURL = "ftp://x:" + secret + "@y" }), "proxy URL cannot be read"},
		"a proxy may be SOCKS":                          {token(func(c *kube.Credential) { c.ProxyURL = "socks5://user:" + secret + "@proxy:1080" }), ""},
		"a namespace has the form of one":               {token(func(c *kube.Credential) { c.Namespace = "../x" }), "no name of a namespace"},
		"a bootstrap token has its form":                {kube.Credential{Kind: kube.BootstrapCredential, Server: "https://k", Token: "07401b.f395accd246ae52d"}, ""},
		"a bootstrap token has no capitals":             {kube.Credential{Kind: kube.BootstrapCredential, Server: "https://k", Token: "07401B.f395accd246ae52d"}, "as 07401b.f395accd246ae52d; this one has not"},
		"a bootstrap token has its length":              {kube.Credential{Kind: kube.BootstrapCredential, Server: "https://k", Token: secret}, "six characters"},
		"a certificate has its key":                     {kube.Credential{Kind: kube.CertificateCredential, Server: "https://k", Certificate: certificate, Key: key}, ""},
		"a certificate without a key is refused":        {kube.Credential{Kind: kube.CertificateCredential, Server: "https://k", Certificate: certificate}, "both as PEM"},
		"a certificate with another key is refused":     {kube.Credential{Kind: kube.CertificateCredential, Server: "https://k", Certificate: certificate, Key: otherKey}, "does not match"},
		"a key that is none is not quoted":              {kube.Credential{Kind: kube.CertificateCredential, Server: "https://k", Certificate: certificate, Key: secret}, "the key cannot be used"},
		"a proxy vouches for a user":                    {kube.Credential{Kind: kube.ProxyCredential, Server: "https://k", Certificate: certificate, Key: key}, "user is missing"},
		"a user has no colon":                           {kube.Credential{Kind: kube.BasicCredential, Server: "https://k", User: "a:b", Password: secret}, "colon"},
		"a password is needed":                          {kube.Credential{Kind: kube.BasicCredential, Server: "https://k", User: "a"}, "password is missing"},
		"EKS needs a name and a region":                 {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1"}, ""},
		"EKS takes regions of governments":              {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "us-gov-west-1", Role: "arn:aws-us-gov:iam::123456789012:role/ops/deployer"}, ""},
		"a region is no host":                           {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1.example.com/"}, "no region"},
		"a name on EKS is no path":                      {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "../shop", Region: "eu-west-1"}, "no name of an EKS cluster"},
		"a role is an ARN":                              {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1", Role: "deployer"}, "no ARN of a role"},
		"keys go together":                              {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1", SecretKey: secret}, "go together"},
		"a session token does not stand alone":          {kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1", SessionToken: secret}, "does not stand alone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.credential.Check()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q in it", err, c.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("the secret is in the error %q", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	pki := keys(t)
	certificate, key, err := pki.Client("bob", nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	bob := kube.Credential{Kind: kube.CertificateCredential, Server: "https://k", Certificate: certificate, Key: key}
	for name, c := range map[string]struct {
		credential kube.Credential
		now        time.Time
		want       string
	}{
		"basic authentication is removed":   {kube.Credential{Kind: kube.BasicCredential}, noon, "removed basic authentication in 1.19"},
		"a bootstrap token is for joining":  {kube.Credential{Kind: kube.BootstrapCredential, Token: "07401b.f395accd246ae52d"}, noon, "system:bootstrap:07401b of group system:bootstrappers"},
		"a token may be a bootstrap token":  {kube.Credential{Kind: kube.TokenCredential, Token: "07401b.f395accd246ae52d"}, noon, "form of a bootstrap token"},
		"a certificate is not checked":      {kube.Credential{Kind: kube.TokenCredential, Insecure: true}, noon, "not checked"},
		"plain http":                        {kube.Credential{Kind: kube.TokenCredential, Server: "http://localhost"}, noon, "plain http"},
		"a proxy's certificate is powerful": {kube.Credential{Kind: kube.ProxyCredential}, noon, "any user"},
		"a certificate has expired":         {bob, noon.Add(90 * time.Second), "it expired at 2026-05-04T12:00:00Z (1m30s ago)"},
		"a certificate will soon expire":    {bob, noon.Add(-time.Hour), "it expires at 2026-05-04T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(c.credential.Warnings(c.now), "\n"); !strings.Contains(got, c.want) || strings.Contains(got, "f395accd246ae52d") {
				t.Errorf("warnings %q, want %q in them", got, c.want)
			}
		})
	}
	if got := bob.Warnings(noon.AddDate(0, -1, 0)); len(got) != 0 {
		t.Errorf("warnings of a good certificate: %q", got)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	c := kube.Credential{
		Kind: kube.TokenCredential, Server: "https://k8s.example", Token: "hidden-1", Key: "hidden-2", Password: "hidden-3", SecretKey: "hidden-4",
		SessionToken: "hidden-5", ProxyURL: "http://me:hidden-6@proxy:3128", User: "seen", AccessKey: "AKIDEXAMPLE",
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("a credential", "credential", c, "pointer", &c)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %s %v %+v", c, c, c, c, struct{ C kube.Credential }{c}, []kube.Credential{c})
	public := c.Public()
	shown += fmt.Sprintf("%q %q %q %q %q %q", public.Token, public.Key, public.Password, public.SecretKey, public.SessionToken, public.ProxyURL)
	if strings.Contains(shown, "hidden") {
		t.Errorf("shown: %s", shown)
	}
	if public.ProxyURL != "http://me@proxy:3128" || public.User != "seen" || public.AccessKey != "AKIDEXAMPLE" || c.Token != "hidden-1" {
		t.Errorf("public %q %q, and the original keeps %q", public.ProxyURL, public.User, c.Token)
	}
}

func TestReadDenial(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`deployments.apps "web" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "web"`:                                                                        `user "x" may not patch deployments.apps in namespace web`,
		`pods "a" is forbidden: User "system:serviceaccount:a:b" cannot get resource "pods/log" in API group "" in the namespace "a"`:                                                                         `user "system:serviceaccount:a:b" may not get pods/log in namespace a`,
		`nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope`:                                                                                                      `user "x" may not list nodes in the whole cluster`,
		`forbidden: User "x" cannot get path "/metrics"`:                                                                                                                                                      `user "x" may not get /metrics`,
		`leases.coordination.k8s.io is forbidden: User "a \"b\"" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "w": RBAC: role.rbac.authorization.k8s.io "r" not found`: `user "a \"b\"" may not create leases.coordination.k8s.io in namespace w (RBAC: role.rbac.authorization.k8s.io "r" not found)`,
		`pods "x" is forbidden: exceeded quota: compute, requested: pods=1`:                                                                                                                                   "",
	} {
		got, ok := kube.ReadDenial(message)
		if ok != (want != "") || (ok && got.String() != want) {
			t.Errorf("of %s\ngot  %s, %t\nwant %s", message, got, ok, want)
		}
	}
}

// TestAnApplicationsOwnRefusalIsLeftAlone asks through the API server's proxy,
// where a 401 may be the application's.
func TestAnApplicationsOwnRefusalIsLeftAlone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you?", http.StatusUnauthorized) }))
	t.Cleanup(server.Close)
	transport := kube.Explain(kube.Credential{Kind: kube.TokenCredential, Server: server.URL, Token: "t"})
	for path, own := range map[string]bool{
		"/api/v1/namespaces/web/services/http:web:80/proxy":      true,
		"/api/v1/namespaces/web/pods/web/proxy/login":            true,
		"/api/v1/namespaces/web/configmaps/proxy":                false,
		"/k8s/clusters/c-1/api/v1/namespaces/proxy/pods/proxy/x": false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || strings.Contains(string(body), "who are you?") != own {
			t.Errorf("%s is answered %q, %v", path, body, err)
		}
	}
}

func TestGranted(t *testing.T) {
	t.Parallel()
	rule := func(verbs, groups, resources string, names ...string) []authorizationv1.ResourceRule {
		return []authorizationv1.ResourceRule{{Verbs: strings.Fields(verbs), APIGroups: strings.Split(groups, " "), Resources: strings.Fields(resources), ResourceNames: names}}
	}
	scale := kube.Right{Verb: "patch", Group: "apps", Resource: "deployments", Subresource: "scale"}
	whole := kube.Right{Verb: "patch", Group: "apps", Resource: "deployments"}
	core := kube.Right{Verb: "get", Resource: "secrets"}
	for name, c := range map[string]struct {
		rules []authorizationv1.ResourceRule
		right kube.Right
		want  bool
	}{
		"the very right":                  {rule("get patch", "apps", "deployments"), whole, true},
		"everything":                      {rule("*", "*", "*"), scale, true},
		"another verb":                    {rule("get", "apps", "deployments"), whole, false},
		"another group":                   {rule("patch", "batch", "deployments"), whole, false},
		"the core group is the empty one": {rule("get", "", "secrets"), core, true},
		"a resource does not give its subresource":   {rule("patch", "apps", "deployments"), scale, false},
		"a subresource does not give its resource":   {rule("patch", "apps", "deployments/scale"), whole, false},
		"a subresource of all resources":             {rule("patch", "apps", "*/scale"), scale, true},
		"one name is not enough":                     {rule("get", "", "secrets", "one"), core, false},
		"verb and resource must be of the same rule": {append(rule("patch", "apps", "replicasets"), rule("get", "apps", "deployments")...), whole, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := kube.Granted(c.rules, c.right); got != c.want {
				t.Errorf("granted %t, want %t", got, c.want)
			}
		})
	}
}

func TestReadClaims(t *testing.T) {
	t.Parallel()
	token, err := keys(t).ServiceAccountToken(map[string]any{"iss": "i", "sub": "s", "aud": "a", "exp": noon.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	got, ok := kube.ReadClaims(token)
	if !ok || got.Issuer != "i" || got.Subject != "s" || !got.Expires.Equal(noon) {
		t.Errorf("%+v, %t", got, ok)
	}
	if diff := cmp.Diff([]string{"a"}, got.Audience); diff != "" {
		t.Errorf("audience (-want +got):\n%s", diff)
	}
	for _, token := range []string{"", "a.b", "a.b.c", "a.e30.c.d", "a.bnVsbA.c" + strings.Repeat("x", 3), "a." + strings.Repeat("A", 1<<20) + ".c"} {
		if got, ok := kube.ReadClaims(token); ok && got.Subject != "" {
			t.Errorf("%.20q has claims %+v", token, got)
		}
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjoxZTMwMH0.c2ln")
	f.Add("a.eyJhdWQiOlsiYSIsImIiXX0.c")
	f.Add("k8s-aws-v1.aHR0cHM6Ly9zdHM_WC1BbXotQ3JlZGVudGlhbD1hL2IvYy9kL2U")
	f.Fuzz(func(t *testing.T, token string) {
		if got, ok := kube.ReadClaims(token); ok {
			if _, err := got.Expires.MarshalText(); err != nil {
				t.Errorf("expires: %v", err)
			}
		}
		kube.ReadEKSToken(token)
		c := kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: token}
		if err := c.Check(); err == nil && strings.ContainsAny(token, " \r\n") {
			t.Errorf("a token with blanks is let through: %q", token)
		}
		_ = c.Warnings(noon)
	})
}

func FuzzReadDenial(f *testing.F) {
	f.Add(`x is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "web": no`)
	f.Add(`User "\x" cannot get path "/"`)
	f.Fuzz(func(t *testing.T, message string) {
		if got, ok := kube.ReadDenial(message); ok && !strings.HasPrefix(got.String(), "user ") {
			t.Errorf("%q", got)
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add("https://k8s.example:6443/path", "http://user:pass@proxy", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
	f.Add("http://[::1%25lo]:1", "socks5://x", "")
	f.Fuzz(func(t *testing.T, server, proxy, authority string) {
		c := kube.Credential{Kind: kube.TokenCredential, Server: server, ProxyURL: proxy, CA: authority, Token: "t"}
		if c.Check() != nil {
			return
		}
		// What is found good can be used.
		if _, err := kube.ConnectWith("fuzz", c); err != nil {
			t.Errorf("server %q, proxy %q: %v", server, proxy, err)
		}
	})
}
