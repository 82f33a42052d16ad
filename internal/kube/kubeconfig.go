package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// origin is where a cluster's credentials were read: a context of a kubeconfig
// of the user's own. It is zero for credentials from anywhere else.
type origin struct {
	file    string // empty when the usual rules found it
	context string
}

// KubeconfigContext is the context of the user's own kubeconfig that the
// cluster came from, and the file, which is empty when $KUBECONFIG or
// ~/.kube/config was read. ok is false when the cluster came from elsewhere:
// other programs then need what Kubeconfig returns.
func (c *Cluster) KubeconfigContext() (file, context string, ok bool) {
	return c.origin.file, c.origin.context, c.origin.context != ""
}

// Kubeconfig is a kubeconfig of this cluster alone, with its credentials, for
// programs that are not Towline; its context is named as the cluster's. A
// token that is made on the spot is in it as it is now, so it should be asked
// for afresh each time. Credentials that a kubeconfig has no words for, such as
// those of an authenticating proxy, are an error.
func (c *Cluster) Kubeconfig() ([]byte, error) {
	user, err := c.authInfo()
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	proxy, err := c.proxyURL()
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	tls := c.config.TLSClientConfig
	file := clientcmdapi.Config{
		CurrentContext: c.Context,
		Contexts:       map[string]*clientcmdapi.Context{c.Context: {Cluster: c.Context, AuthInfo: c.Context, Namespace: c.Namespace}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{c.Context: user},
		Clusters: map[string]*clientcmdapi.Cluster{c.Context: {
			Server: c.Server, TLSServerName: tls.ServerName, InsecureSkipTLSVerify: tls.Insecure,
			CertificateAuthority: tls.CAFile, CertificateAuthorityData: tls.CAData, DisableCompression: c.config.DisableCompression, ProxyURL: proxy,
		}},
	}
	text, err := clientcmd.Write(file)
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	return text, nil
}

// proxyURL is the proxy through which the API server is reached, when it is
// not the environment that says so.
func (c *Cluster) proxyURL() (string, error) {
	if c.config.Proxy == nil {
		return "", nil
	}
	request, err := http.NewRequest(http.MethodGet, c.Server, http.NoBody)
	if err != nil {
		return "", err
	}
	proxy, err := c.config.Proxy(request)
	if err != nil || proxy == nil {
		return "", err
	}
	return proxy.String(), nil
}

// authInfo is the user of a kubeconfig, with the credentials of the cluster.
func (c *Cluster) authInfo() (*clientcmdapi.AuthInfo, error) {
	config := c.config
	if config.Transport != nil || config.AuthProvider != nil || config.AuthConfigPersister != nil {
		return nil, errors.New("its credentials cannot be written down")
	}
	user := &clientcmdapi.AuthInfo{
		ClientCertificate: config.CertFile, ClientCertificateData: config.CertData, ClientKey: config.KeyFile, ClientKeyData: config.KeyData,
		Token: config.BearerToken, TokenFile: config.BearerTokenFile, Username: config.Username, Password: config.Password,
		Impersonate: config.Impersonate.UserName, ImpersonateUID: config.Impersonate.UID, ImpersonateGroups: config.Impersonate.Groups,
		ImpersonateUserExtra: config.Impersonate.Extra, Exec: config.ExecProvider,
	}
	if config.WrapTransport == nil {
		return user, nil
	}
	return user, c.addWrapped(user)
}

// addWrapped finds out what the cluster's own transport adds to a request, by
// sending one to nobody, and writes down what it is.
func (c *Cluster) addWrapped(user *clientcmdapi.AuthInfo) error {
	var seen http.Header
	nobody := roundTripper(func(r *http.Request) (*http.Response, error) {
		seen = r.Header.Clone()
		return &http.Response{StatusCode: http.StatusNoContent, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	})
	request, err := http.NewRequest(http.MethodGet, c.Server, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.config.WrapTransport(nobody).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("get credentials: %w", err)
	}
	_ = response.Body.Close() // it is empty
	for name := range seen {
		if name != "Authorization" && name != "User-Agent" && name != "Accept-Encoding" {
			return fmt.Errorf("a kubeconfig cannot carry the header %s, which its credentials need", name)
		}
	}
	if given := seen.Get("Authorization"); given != "" {
		token, ok := strings.CutPrefix(given, "Bearer ")
		if !ok {
			return errors.New("its credentials are no bearer token")
		}
		user.Token, user.TokenFile = token, ""
	}
	return nil
}

// roundTripper is a function that answers requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
