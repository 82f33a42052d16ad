package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Contexts are the names of a kubeconfig's contexts, sorted. An empty path
// means the usual places, where there may be none.
func Contexts(kubeconfigPath string) ([]string, error) {
	raw, _, err := loadKubeconfig(kubeconfigPath)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(raw.Contexts)), nil
}

func loadKubeconfig(path string) (*clientcmdapi.Config, *clientcmd.ClientConfigLoadingRules, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	raw, err := rules.Load()
	if err != nil {
		return nil, rules, fmt.Errorf("read kubeconfig: %w", err)
	}
	return raw, rules, nil
}

// FromKubeconfig takes the credential of one context out of a kubeconfig, with
// the files that it names, so that it can be used elsewhere. What only works on
// this machine, as exec plugins do, is an error.
func FromKubeconfig(kubeconfigPath, kubeContext string) (Credential, error) {
	raw, rules, err := loadKubeconfig(kubeconfigPath)
	if err != nil {
		return Credential{}, err
	}
	name := cmp.Or(kubeContext, raw.CurrentContext)
	chosen, ok := raw.Contexts[name]
	if !ok || name == "" {
		return Credential{}, fmt.Errorf("kubeconfig %s has no context %q: it has %s", where(rules), name, listOr(slices.Sorted(maps.Keys(raw.Contexts)), "none"))
	}
	cluster, user := raw.Clusters[chosen.Cluster], raw.AuthInfos[chosen.AuthInfo]
	if cluster == nil || user == nil {
		return Credential{}, fmt.Errorf("context %q of kubeconfig %s names cluster %q and user %q, which are not both there", name, where(rules), chosen.Cluster, chosen.AuthInfo)
	}
	credential, err := ofUser(user)
	if err != nil {
		return Credential{}, fmt.Errorf("context %q of kubeconfig %s: %w", name, where(rules), err)
	}
	credential.Server, credential.ServerName, credential.ProxyURL = cluster.Server, cluster.TLSServerName, cluster.ProxyURL
	credential.Insecure, credential.Namespace = cluster.InsecureSkipTLSVerify, chosen.Namespace
	// kubectl ignores the authority then, too.
	if !credential.Insecure {
		if credential.CA, err = dataOrFile(cluster.CertificateAuthorityData, cluster.CertificateAuthority); err != nil {
			return Credential{}, fmt.Errorf("context %q of kubeconfig %s: read the certificate authority: %w", name, where(rules), err)
		}
	}
	return credential, credential.Check()
}

// ofUser is what a user of a kubeconfig signs in with. Where there is more than
// one way the certificate goes first, as in the API server.
func ofUser(user *clientcmdapi.AuthInfo) (c Credential, err error) {
	switch {
	case user.Exec != nil:
		return c, execError(user.Exec)
	case user.AuthProvider != nil:
		return c, fmt.Errorf("the auth provider %q is no part of Kubernetes any more: sign in another way", user.AuthProvider.Name)
	case user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0:
		return c, fmt.Errorf("it impersonates %q: store a credential of that user itself", user.Impersonate)
	}
	if c.Certificate, err = dataOrFile(user.ClientCertificateData, user.ClientCertificate); err != nil {
		return c, fmt.Errorf("read the client certificate: %w", err)
	}
	if c.Certificate != "" {
		c.Kind = CertificateCredential
		if c.Key, err = dataOrFile(user.ClientKeyData, user.ClientKey); err != nil {
			return c, fmt.Errorf("read the client key: %w", err)
		}
		return c, nil
	}
	if user.Username != "" {
		c.Kind, c.User, c.Password = BasicCredential, user.Username, user.Password
		return c, nil
	}
	// A token file goes before a token, as in client-go.
	token, err := dataOrFile(nil, user.TokenFile)
	if err != nil {
		return c, fmt.Errorf("read the token: %w", err)
	}
	if c.Token = cmp.Or(strings.TrimSpace(token), user.Token); c.Token == "" {
		return c, errors.New("its user has no credentials")
	}
	c.Kind = TokenCredential
	if IsBootstrapToken(c.Token) {
		c.Kind = BootstrapCredential
	}
	return c, nil
}

// execError says why an exec plugin stays where it is, and what to do instead.
func execError(plugin *clientcmdapi.ExecConfig) error {
	command := filepath.Base(plugin.Command)
	hint := "keep that kubeconfig on the server's machine and start it with `towline server --kubeconfig FILE`: deploy actions then name the context"
	if command == "aws" || command == "aws-iam-authenticator" {
		hint = "store it as an EKS cluster instead, with `towline cluster add NAME --eks CLUSTER --region REGION`; or " + hint
	}
	return fmt.Errorf("it signs in by running the program %s, and a server runs no program that a request names: %s", command, hint)
}

func dataOrFile(data []byte, path string) (string, error) {
	if len(data) > 0 || path == "" {
		return string(data), nil
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
