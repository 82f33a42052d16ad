package kube

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// CredentialKind is a way to say to an API server who one is.
type CredentialKind string

// The kinds. Only a kubeconfig may name an exec plugin: a program to run is
// nothing that a request from elsewhere may bring along.
const (
	KubeconfigCredential  CredentialKind = "kubeconfig"         // a context of a file on this machine, exec plugins included
	InClusterCredential   CredentialKind = "in-cluster"         // the service account of the pod that this process runs in
	CertificateCredential CredentialKind = "client-certificate" // TLS client certificate; the API server reads CN as user, O as groups
	TokenCredential       CredentialKind = "bearer-token"       // service account, OpenID Connect, static or webhook token
	BootstrapCredential   CredentialKind = "bootstrap-token"    // as 07401b.f395accd246ae52d
	EKSCredential         CredentialKind = "eks"                // a token made of AWS credentials, afresh every 14 minutes
	ProxyCredential       CredentialKind = "proxy"              // X-Remote-User, vouched for by a proxy's client certificate
	BasicCredential       CredentialKind = "basic"              // user and password; API servers take them no more, proxies before them may
)

// Credential is all that it takes to use a cluster, as data: to connect with it
// reads no file and no environment, but for the kinds kubeconfig, in-cluster,
// and eks without keys. What Public leaves out is secret; printing and logging
// a Credential shows only the rest.
type Credential struct {
	Kind CredentialKind `json:"kind"`

	// Where the cluster is. A kubeconfig and a pod know it by themselves, and
	// eks may leave it to DescribeEKS.
	Server     string `json:"server,omitempty"`     // URL, https unless the host is loopback
	CA         string `json:"ca,omitempty"`         // PEM; empty means the system's authorities
	Insecure   bool   `json:"insecure,omitempty"`   // do not check the server's certificate
	ServerName string `json:"serverName,omitempty"` // that the server's certificate must carry, when not the URL's
	ProxyURL   string `json:"proxyURL,omitempty"`   // http, https or socks5; may carry a password
	Namespace  string `json:"namespace,omitempty"`  // default namespace

	// Who one is, by kind.
	Token       string   `json:"token,omitempty"`       // bearer-token, bootstrap-token
	Certificate string   `json:"certificate,omitempty"` // PEM: client-certificate; of the proxy for proxy
	Key         string   `json:"key,omitempty"`         // PEM, to Certificate
	User        string   `json:"user,omitempty"`        // proxy, basic
	Groups      []string `json:"groups,omitempty"`      // proxy
	Password    string   `json:"password,omitempty"`    // basic

	// EKS: the cluster's name there, its region, a role to take on, and keys.
	// Without keys the process's own AWS credentials are used: environment,
	// profile, pod identity or instance role.
	EKSCluster   string `json:"eksCluster,omitempty"`
	Region       string `json:"region,omitempty"`
	Role         string `json:"role,omitempty"` // ARN
	AccessKey    string `json:"accessKey,omitempty"`
	SecretKey    string `json:"secretKey,omitempty"`
	SessionToken string `json:"sessionToken,omitempty"`

	// Kubeconfig is a path on this machine (empty: the usual places), Context
	// one of its contexts (empty: the current one).
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Context    string `json:"context,omitempty"`
}

// ConnectWith returns the cluster that a credential opens, under a name of the
// caller's. No request is sent: see Ping and WhoAmI. What is wrong with the
// credential itself is told as by Check.
func ConnectWith(name string, credential Credential) (*Cluster, error) {
	if err := credential.Check(); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	switch credential.Kind {
	case KubeconfigCredential:
		return Connect(credential.Kubeconfig, credential.Context)
	case InClusterCredential:
		return connectInCluster(name, credential.Namespace, serviceAccountDir)
	}
	config, err := credential.config()
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	namespace := credential.Namespace
	if namespace == "" {
		namespace = "default"
	}
	return newCluster(settings{config: config, name: name, namespace: namespace, stored: true, authorize: credential.authorize()})
}

// config is what client-go knows how to do by itself.
func (c Credential) config() (*rest.Config, error) {
	config := &rest.Config{
		Host:            strings.TrimRight(c.Server, "/"),
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte(c.CA), Insecure: c.Insecure, ServerName: c.ServerName, CertData: []byte(c.Certificate), KeyData: []byte(c.Key)},
	}
	if c.ProxyURL != "" {
		proxy, err := url.Parse(c.ProxyURL)
		if err != nil {
			return nil, errors.New("the proxy URL cannot be read")
		}
		config.Proxy = http.ProxyURL(proxy)
	}
	switch c.Kind {
	case TokenCredential, BootstrapCredential:
		config.BearerToken = c.Token
	case BasicCredential:
		config.Username, config.Password = c.User, c.Password
	}
	return config, nil
}

// authorize is what client-go has no setting for, or nil.
func (c Credential) authorize() transport.WrapperFunc {
	switch c.Kind {
	case ProxyCredential:
		return func(next http.RoundTripper) http.RoundTripper {
			return transport.NewAuthProxyRoundTripper(c.User, "", c.Groups, nil, next)
		}
	case EKSCredential:
		return transport.ResettableTokenSourceWrapTransport(newEKSTokens(c))
	}
	return nil
}

// serviceAccountDir is where a pod finds the credentials of its service
// account.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// connectInCluster uses the mounted service account. Its token is read again
// every minute and after each refusal, since the kubelet renews it.
func connectInCluster(name, namespace, dir string) (*Cluster, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	token := filepath.Join(dir, "token")
	if _, err := os.Stat(token); err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("cluster %s: there is no service account to use: this process runs in no pod, or its pod sets automountServiceAccountToken: false (looked for $KUBERNETES_SERVICE_HOST and %s)", name, token)
	}
	if namespace == "" {
		namespace = "default"
		if text, err := os.ReadFile(filepath.Join(dir, "namespace")); err == nil {
			namespace = strings.TrimSpace(string(text))
		}
	}
	config := &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "ca.crt")},
	}
	authorize := transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(token))
	return newCluster(settings{config: config, name: name, namespace: namespace, stored: true, mounted: true, authorize: authorize})
}
