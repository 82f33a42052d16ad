package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/clientcmd/api/latest"
)

const (
	// shortestToken is what an API server issues at least.
	shortestToken = 10 * time.Minute
	// longestToken keeps a token from outliving the day it was made for.
	longestToken = 24 * time.Hour
)

// Account names a service account.
type Account struct{ Namespace, Name string }

// AccountKubeconfig is a kubeconfig, as JSON, that signs in as a service account
// of this cluster with a token asked for on the spot, and has the account's
// namespace as its default. The token ends by itself after that time, which is
// kept between ten minutes and a day; an API server may make it shorter. It
// needs the verb create for serviceaccounts/token.
func (c *Cluster) AccountKubeconfig(ctx context.Context, account Account, lasting time.Duration) ([]byte, error) {
	seconds := int64(min(max(lasting, shortestToken), longestToken).Round(time.Second) / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	var answer *authenticationv1.TokenRequest
	err := retry(ctx, func(ctx context.Context) (err error) {
		answer, err = c.core.ServiceAccounts(account.Namespace).CreateToken(ctx, account.Name, request, metav1.CreateOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("ask cluster %s for a token: it has no service account %s in namespace %s: create it, with a RoleBinding to the rights that it is to have",
			c.Context, account.Name, account.Namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("ask cluster %s for a token of service account %s/%s: %w", c.Context, account.Namespace, account.Name, err)
	}
	if answer.Status.Token == "" {
		return nil, errors.New("ask the cluster for a token: it has answered without one")
	}
	return c.kubeconfigOf(account, answer.Status.Token)
}

// kubeconfigOf is a kubeconfig of this cluster with a token. It names no file of
// this machine, for it is read elsewhere.
func (c *Cluster) kubeconfigOf(account Account, token string) ([]byte, error) {
	proxy, err := c.proxyURL()
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	tls := c.config.TLSClientConfig
	authority := tls.CAData
	if len(authority) == 0 && tls.CAFile != "" && !tls.Insecure {
		if authority, err = os.ReadFile(tls.CAFile); err != nil {
			return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
		}
	}
	file := &clientcmdapi.Config{
		CurrentContext: c.Context,
		Contexts:       map[string]*clientcmdapi.Context{c.Context: {Cluster: c.Context, AuthInfo: account.Name, Namespace: account.Namespace}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{account.Name: {Token: token}},
		Clusters: map[string]*clientcmdapi.Cluster{c.Context: {
			Server: c.Server, TLSServerName: tls.ServerName, InsecureSkipTLSVerify: tls.Insecure,
			CertificateAuthorityData: authority, DisableCompression: c.config.DisableCompression, ProxyURL: proxy,
		}},
	}
	versioned, err := latest.Scheme.ConvertToVersion(file, latest.ExternalVersion)
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	text, err := json.Marshal(versioned)
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig for cluster %s: %w", c.Context, err)
	}
	return text, nil
}
