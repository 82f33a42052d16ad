package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/kube"
)

// TestACredentialIsReadFromTheFlags gives command lines and standard input, as
// `towline cluster add` gets them.
func TestACredentialIsReadFromTheFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, password, empty := file("token", "a-token\n"), file("password", " with blanks \r\n"), file("empty", "")
	kubeconfig := file("kubeconfig", `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u, namespace: shop}}], clusters: [{name: c, cluster: {server: "https://k"}}], users: [{name: u, user: {token: of-the-file}}]}`)
	const server = "--api-server=https://k"
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  kube.Credential
	}{
		"a token from a file": {[]string{server, "--token-file", token}, "", kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: "a-token"}},
		"a token from standard input": {
			[]string{server, "--token-stdin", "--namespace", "web"}, "a-token\n", kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: "a-token", Namespace: "web"},
		},
		"a dash is standard input": {[]string{server, "--token-file", "-"}, "a-token", kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: "a-token"}},
		"a bootstrap token is known by its form": {
			[]string{server, "--token-stdin"}, "07401b.f395accd246ae52d\n", kube.Credential{Kind: kube.BootstrapCredential, Server: "https://k", Token: "07401b.f395accd246ae52d"},
		},
		"a password keeps its blanks": {
			[]string{server, "--basic-user", "dave", "--password-file", password}, "", kube.Credential{Kind: kube.BasicCredential, Server: "https://k", User: "dave", Password: " with blanks "},
		},
		"the pod's service account": {[]string{"--in-cluster"}, "", kube.Credential{Kind: kube.InClusterCredential}},
		"EKS with keys": {
			[]string{"--eks", "shop", "--region", "eu-west-1", "--aws-access-key-id", "AKID", "--aws-secret-key-file", "-"}, "secret\n",
			kube.Credential{Kind: kube.EKSCredential, EKSCluster: "shop", Region: "eu-west-1", AccessKey: "AKID", SecretKey: "secret"},
		},
		"a context of a kubeconfig": {
			[]string{"--kubeconfig", kubeconfig, "--context", "c"}, "", kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: "of-the-file", Namespace: "shop"},
		},
		"a context with another namespace": {
			[]string{"--kubeconfig", kubeconfig, "--namespace", "web"}, "", kube.Credential{Kind: kube.TokenCredential, Server: "https://k", Token: "of-the-file", Namespace: "web"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readFlags(t, c.args, c.stdin)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := plain(got), plain(c.want); a != b {
				t.Errorf("credential %s\nwant       %s", a, b)
			}
		})
	}
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  string
		usage bool
	}{
		"no way to sign in":               {[]string{server}, "", "say how to sign in", true},
		"two ways to sign in":             {[]string{server, "--token-file", token, "--basic-user", "x"}, "", "--token-file or --token-stdin and --basic-user are several ways", true},
		"two secrets on standard input":   {[]string{"--proxy-user", "x", "--client-cert", "-", "--client-key", "-"}, "x", "--client-cert and --client-key cannot both read standard input", true},
		"a password on the command line":  {[]string{server, "--token-stdin", "--proxy-url", "http://me:hidden@proxy"}, "x", "every process of this machine can see", true},
		"a kubeconfig and a server":       {[]string{server, "--kubeconfig", kubeconfig}, "", "leave out the flags for it", true},
		"a file that is not there":        {[]string{server, "--token-file", filepath.Join(dir, "missing")}, "", "--token-file: open", false},
		"a file that is empty":            {[]string{server, "--token-file", empty}, "", "is empty", false},
		"standard input that is empty":    {[]string{server, "--token-stdin"}, "", "is empty", false},
		"what the kind has no use for":    {[]string{"--in-cluster", "--region", "eu-west-1"}, "", "no use for region", false},
		"a context that is not there":     {[]string{"--kubeconfig", kubeconfig, "--context", "x"}, "", `no context "x"`, false},
		"a certificate that is none":      {[]string{server, "--client-cert", token, "--client-key", password}, "", "client certificate cannot be read", false},
		"a server in the clear elsewhere": {[]string{"--api-server=http://10.0.0.1", "--token-file", token}, "", "in the clear", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readFlags(t, c.args, c.stdin)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &usageError{}) != c.usage || strings.Contains(err.Error(), "hidden") {
				t.Errorf("error %v (of usage: %t), want %q in it", err, errors.As(err, &usageError{}), c.want)
			}
		})
	}
}

func readFlags(t *testing.T, args []string, stdin string) (kube.Credential, error) {
	t.Helper()
	var given clusterFlags
	cmd := &cobra.Command{Use: "add"}
	given.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return given.read(strings.NewReader(stdin))
}

// plain shows a credential with its secrets, which its own String hides.
func plain(c kube.Credential) string {
	return strings.Join([]string{
		string(c.Kind), c.Server, c.Namespace, c.Token, c.User, c.Password, c.EKSCluster, c.Region, c.AccessKey, c.SecretKey,
	}, " | ")
}
