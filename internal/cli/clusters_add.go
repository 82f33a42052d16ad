package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/kube"
)

// maxSecretFile bounds what is read of a file or of standard input.
const maxSecretFile = 1 << 20

// clusterFlags are what a credential is made of. Secrets come from files or
// standard input: every process of a machine sees its command lines.
type clusterFlags struct {
	credential kube.Credential // what needs no file

	caFile, certFile, keyFile            string
	tokenFile, passwordFile, secretFile  string
	tokenStdin, passwordStdin, inCluster bool
	kubeconfig, context                  string
	proxyUser, basicUser                 string
	proxyGroups                          []string
	replace                              bool
}

func (c *command) clusterAddCommand() *cobra.Command {
	var given clusterFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Store a cluster with its credential, for deploy actions to name",
		Long: `Store a cluster with its credential on the server, encrypted. A deploy action
names it: cluster: NAME. A stored cluster goes before a context of the same name
in the server's kubeconfig.

How to sign in is one of: --token-file or --token-stdin (also for a bootstrap
token); --client-cert and --client-key; --kubeconfig, which copies one context of
a file; --in-cluster, the service account of the pod that the server runs in;
--eks; --proxy-user with the proxy's --client-cert and --client-key; --basic-user.
A context with an exec plugin cannot be stored, since the server runs no program
that a request names: give that kubeconfig to "towline server" instead.

Secrets are read from files or from standard input ("-"), never from flags.`,
		Example: `  kubectl create token towline -n web --duration 8760h |
    towline cluster add production --api-server https://10.0.0.10:6443 --ca-file ca.crt --token-stdin
  towline cluster add staging --kubeconfig ~/.kube/config --context staging
  towline cluster add shop --eks shop --region eu-west-1`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			credential, err := given.read(c.In)
			if err != nil {
				return err
			}
			return c.addCluster(cmd.Context(), args[0], credential, given.replace)
		},
	}
	given.register(cmd)
	return cmd
}

func (f *clusterFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	k := &f.credential
	flags.StringVar(&k.Server, "api-server", "", "URL of the Kubernetes API server, https://HOST:PORT")
	flags.StringVar(&f.caFile, "ca-file", "", "file of the cluster's certificate authority, default the system's authorities")
	flags.StringVar(&k.ServerName, "tls-server-name", "", "name that the server's certificate carries, when it is not the URL's")
	flags.BoolVar(&k.Insecure, "insecure-skip-tls-verify", false, "do not check the server's certificate: whoever is on the way can take the cluster")
	flags.StringVar(&k.ProxyURL, "proxy-url", "", "http, https or socks5 proxy on the way to the API server")
	flags.StringVar(&k.Namespace, "namespace", "", "default namespace")
	flags.StringVar(&f.tokenFile, "token-file", "", "file of a bearer token or a bootstrap token")
	flags.BoolVar(&f.tokenStdin, "token-stdin", false, "read the token from standard input")
	flags.StringVar(&f.certFile, "client-cert", "", "file of a client certificate")
	flags.StringVar(&f.keyFile, "client-key", "", "file of its key")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig to copy a context from")
	flags.StringVar(&f.context, "context", "", "its context, default the current one")
	flags.BoolVar(&f.inCluster, "in-cluster", false, "the service account of the pod that the server runs in")
	flags.StringVar(&k.EKSCluster, "eks", "", "name of a cluster on Amazon EKS")
	flags.StringVar(&k.Region, "region", "", "its region, as eu-west-1")
	flags.StringVar(&k.Role, "role-arn", "", "role to take on")
	flags.StringVar(&k.AccessKey, "aws-access-key-id", "", "access key, default the server's own AWS credentials")
	flags.StringVar(&f.secretFile, "aws-secret-key-file", "", "file of the secret key to it")
	flags.StringVar(&f.proxyUser, "proxy-user", "", "user that an authenticating proxy vouches for")
	flags.StringArrayVar(&f.proxyGroups, "proxy-group", nil, "group of that user; may be repeated")
	flags.StringVar(&f.basicUser, "basic-user", "", "user for a proxy that checks passwords; Kubernetes itself removed this in 1.19")
	flags.StringVar(&f.passwordFile, "password-file", "", "file of the password")
	flags.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	flags.BoolVar(&f.replace, "replace", false, "give a new credential to a cluster that is stored already")
	cmd.MarkFlagsMutuallyExclusive("token-file", "token-stdin")
	cmd.MarkFlagsMutuallyExclusive("password-file", "password-stdin")
}

// read makes the credential, with the files and standard input.
func (f *clusterFlags) read(stdin io.Reader) (kube.Credential, error) {
	k := f.credential
	k.User, k.Groups = cmp.Or(f.proxyUser, f.basicUser), f.proxyGroups
	var err error
	if k.Kind, err = f.kind(); err != nil {
		return k, usageError{err}
	}
	if u, err := url.Parse(k.ProxyURL); err == nil && u.User != nil {
		if _, ok := u.User.Password(); ok {
			return k, usageError{errors.New("--proxy-url has a password, which every process of this machine can see: put the URL into a kubeconfig (proxy-url) and use --kubeconfig")}
		}
	}
	if k.Kind == kube.KubeconfigCredential {
		return f.fromKubeconfig()
	}
	in := inputs{stdin: stdin}
	k.CA = in.text("ca-file", f.caFile)
	k.Certificate, k.Key = in.text("client-cert", f.certFile), in.text("client-key", f.keyFile)
	k.Token = strings.TrimSpace(in.text("token-file", orStdin(f.tokenFile, f.tokenStdin)))
	k.Password = strings.TrimRight(in.text("password-file", orStdin(f.passwordFile, f.passwordStdin)), "\r\n")
	k.SecretKey = strings.TrimSpace(in.text("aws-secret-key-file", f.secretFile))
	if in.err != nil {
		return k, in.err
	}
	if k.Kind == kube.TokenCredential && kube.IsBootstrapToken(k.Token) {
		k.Kind = kube.BootstrapCredential
	}
	return k, k.Check()
}

// kind finds out which way to sign in is meant. There must be exactly one.
func (f *clusterFlags) kind() (kube.CredentialKind, error) {
	// A proxy's certificate is no client's.
	ways := []struct {
		flag  string
		kind  kube.CredentialKind
		given bool
	}{
		{"--token-file or --token-stdin", kube.TokenCredential, f.tokenFile != "" || f.tokenStdin},
		{"--client-cert", kube.CertificateCredential, (f.certFile != "" || f.keyFile != "") && f.proxyUser == ""},
		{"--kubeconfig", kube.KubeconfigCredential, f.kubeconfig != "" || f.context != ""},
		{"--in-cluster", kube.InClusterCredential, f.inCluster},
		{"--eks", kube.EKSCredential, f.credential.EKSCluster != ""},
		{"--proxy-user", kube.ProxyCredential, f.proxyUser != ""},
		{"--basic-user", kube.BasicCredential, f.basicUser != ""},
	}
	var flags []string
	var kind kube.CredentialKind
	for _, way := range ways {
		if way.given {
			flags, kind = append(flags, way.flag), way.kind
		}
	}
	switch len(flags) {
	case 1:
		return kind, nil
	case 0:
		for _, way := range ways {
			flags = append(flags, way.flag)
		}
		return "", fmt.Errorf("say how to sign in: %s", strings.Join(flags, ", "))
	}
	return "", fmt.Errorf("%s are several ways to sign in: give one", strings.Join(flags, " and "))
}

// fromKubeconfig copies a context. What the file says may not be said by flags
// as well, but for the namespace.
func (f *clusterFlags) fromKubeconfig() (kube.Credential, error) {
	k := f.credential
	if k.Server != "" || f.caFile != "" || k.Insecure || k.ServerName != "" || k.ProxyURL != "" {
		return k, usageError{errors.New("--kubeconfig says where the server is and how to check it: leave out the flags for it")}
	}
	copied, err := kube.FromKubeconfig(f.kubeconfig, f.context)
	if err == nil && k.Namespace != "" {
		copied.Namespace = k.Namespace
		err = copied.Check()
	}
	return copied, err
}

func orStdin(path string, stdin bool) string {
	if stdin {
		return "-"
	}
	return path
}

// inputs reads files and, once, standard input. After the first error it reads
// nothing.
type inputs struct {
	stdin io.Reader
	used  string // the flag that took standard input
	err   error
}

func (in *inputs) text(flag, path string) string {
	if path == "" || in.err != nil {
		return ""
	}
	reader := in.stdin
	if path == "-" {
		if in.used != "" {
			in.err = usageError{fmt.Errorf("--%s and --%s cannot both read standard input", in.used, flag)}
			return ""
		}
		in.used = flag
	} else {
		file, err := os.Open(path)
		if err != nil {
			in.err = fmt.Errorf("--%s: %w", flag, err)
			return ""
		}
		defer file.Close()
		reader = file
	}
	text, err := io.ReadAll(io.LimitReader(reader, maxSecretFile))
	switch {
	case err != nil:
		in.err = fmt.Errorf("--%s: read %s: %w", flag, path, err)
	case len(text) == 0:
		in.err = fmt.Errorf("--%s: %s is empty", flag, path)
	}
	return string(text)
}

func (c *command) addCluster(ctx context.Context, name string, credential kube.Credential, replace bool) error {
	sent, err := client.CredentialOf(credential)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	added, err := api.AddCluster(ctx, name, client.ClusterRequest{Credential: sent, Replace: replace})
	if err != nil {
		return err
	}
	c.warn(added)
	if c.output == "json" {
		return c.printJSON(added)
	}
	fmt.Fprintln(c.Out, strings.Join(slices.DeleteFunc([]string{added.Name, string(credential.Kind), added.User}, func(s string) bool { return s == "" }), " · "))
	fmt.Fprintf(c.Err, "ask it for its rights with: towline cluster test %s --namespace NAMESPACE\n", name)
	return nil
}
