package kubectl

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/waittest"
)

// program writes a shell script that stands for kubectl.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubectl")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers is a kubectl that says it is of a version.
func answers(version string) string {
	return `[ "$1 $2" = "version --client" ] && echo '{"clientVersion":{"gitVersion":"` + version + `"}}'` + "\n"
}

func TestNewSaysWhatIsWrongWithKubectl(t *testing.T) {
	for name, c := range map[string]struct {
		script string // none: there is no kubectl
		says   []string
	}{
		"a new one is taken":            {answers("v1.37.2"), nil},
		"the oldest that can do it":     {answers("v1.27.0-rc.1+k3s1"), nil},
		"one of a vendor":               {answers("v1.32.4-dispatcher"), nil},
		"one that is too old":           {answers("v1.26.15"), []string{"1.26.15", "1.27", "method api"}},
		"one that fails":                {"echo no such luck >&2; exit 3", []string{"version", "no such luck"}},
		"one that answers otherwise":    {"echo Client Version: v1.37", []string{"version", "something else"}},
		"one whose version says little": {answers("devel"), []string{"devel"}},
		"none at all":                   {"", []string{"$PATH", "https://kubernetes.io/docs/tasks/tools", "method api"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.script != "" {
				dir = filepath.Dir(program(t, c.script))
			}
			t.Setenv("PATH", dir)
			_, err := New(t.Context(), Config{})
			if c.says == nil && err != nil {
				t.Fatal(err)
			}
			for _, word := range c.says {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("error %v does not say %q", err, word)
				}
			}
		})
	}
}

// TestSecretsAreNotInArguments runs a program in kubectl's place that tells
// what it was given.
func TestSecretsAreNotInArguments(t *testing.T) {
	t.Parallel()
	seen := t.TempDir()
	path := program(t, answers("v1.37.2")+`
[ "$1" = version ] && exit
echo "$@" > `+seen+`/args
cat > `+seen+`/body
while [ $# -gt 0 ]; do [ "$1" = --kubeconfig ] && cp -p "$2" `+seen+`/config; shift; done
echo '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"web"}}'
`)
	const token, secret = "a-very-secret-token", "a-very-secret-value"
	cluster, err := kube.ConnectWith("prod", kube.Credential{Kind: kube.TokenCredential, Server: "https://127.0.0.1:1", Insecure: true, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(t.Context(), Config{Cluster: cluster, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web", "namespace": "shop"}, "stringData": map[string]any{"key": secret},
	}}
	for name, write := range map[string]func() error{
		"apply":  func() error { _, err := m.Apply(t.Context(), object, kube.ApplyOptions{}); return err },
		"create": func() error { _, err := m.Create(t.Context(), object); return err },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		read := func(file string) string {
			text, err := os.ReadFile(filepath.Join(seen, file))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if args := read("args"); strings.Contains(args, secret) || strings.Contains(args, token) || !strings.Contains(args, "--context prod -n shop "+name) {
			t.Errorf("%s: arguments %s", name, args)
		}
		if !strings.Contains(read("body"), secret) || !strings.Contains(read("config"), token) {
			t.Errorf("%s: standard input %s, kubeconfig %s", name, read("body"), read("config"))
		}
		info, err := os.Stat(filepath.Join(seen, "config"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the kubeconfig's mode is %v", name, info.Mode())
		}
	}
	if text := m.CreateCommand(kube.RefOf(object)); text != "kubectl --context prod -n shop create --field-manager=towline -f web-secret.yaml" {
		t.Error(text)
	}
}

func TestWhatAKubeconfigCannotSay(t *testing.T) {
	t.Parallel()
	certificate, key := pair(t)
	cluster, err := kube.ConnectWith("prod", kube.Credential{Kind: kube.ProxyCredential, Server: "https://127.0.0.1:1", Insecure: true,
		Certificate: certificate, Key: key, User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(t.Context(), Config{Cluster: cluster, Path: program(t, answers("v1.37.2"))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web"}}})
	if err == nil || !strings.Contains(err.Error(), "X-Remote-User") || !strings.Contains(err.Error(), "method api") {
		t.Errorf("error %v", err)
	}
}

// pair is a self-signed certificate and its key, as PEM.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return text("CERTIFICATE", signed), text("PRIVATE KEY", encoded)
}

func TestAProgramThatPrintsTooMuchIsNotBelieved(t *testing.T) {
	t.Parallel()
	cluster, err := kube.ConnectWith("prod", kube.Credential{Kind: kube.TokenCredential, Server: "https://127.0.0.1:1", Insecure: true, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	path := program(t, answers("v1.37.2")+"[ \"$1\" = version ] || head -c "+strconv.Itoa(maxOutput+1)+" /dev/zero\n")
	m, err := New(t.Context(), Config{Cluster: cluster, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Apply(t.Context(), &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web"}}}, kube.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("error %v", err)
	}
}

func TestAProgramThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	path := program(t, answers("v1.37.2")+"[ \"$1\" = version ] && exit\ntrap '' TERM\n: > "+ready+"\nwhile :; do sleep 1; done\n")
	cluster, err := kube.ConnectWith("prod", kube.Credential{Kind: kube.TokenCredential, Server: "https://127.0.0.1:1", Insecure: true, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(t.Context(), Config{Cluster: cluster, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := m.Apply(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web"}}}, kube.ApplyOptions{})
		done <- err
	}()
	waittest.Until(t, "kubectl runs", func() bool {
		select {
		case err := <-done:
			t.Fatalf("it ended by itself: %v", err)
		default:
		}
		_, err := os.Stat(ready)
		return err == nil
	})
	cancel(enough)
	if err := <-done; !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

func TestLineCanBeTyped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(`{apiVersion: v1, kind: Config, current-context: "my prod", contexts: [{name: "my prod", context: {cluster: c}}], clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Connect(file, "")
	if err != nil {
		t.Fatal(err)
	}
	m := &Method{cluster: cluster}
	service := kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "web"}

	t.Run("without the kubeconfig that is found by itself", func(t *testing.T) {
		t.Setenv("KUBECONFIG", file)
		for want, got := range map[string]string{
			`kubectl --context 'my prod' -n shop apply --server-side --field-manager=towline -f web-service.yaml`: m.ApplyCommand(service, kube.ApplyOptions{}, false),
			`kubectl --context 'my prod' -n shop apply --server-side --field-manager=towline --force-conflicts --dry-run=server -f web-service.yaml # guarded by metadata.resourceVersion`: m.ApplyCommand(service,
				kube.ApplyOptions{Force: true, DryRun: true}, true),
			`kubectl --context 'my prod' -n shop create --field-manager=towline -f web-service.yaml`:                                                                                                              m.CreateCommand(service),
			`kubectl --context 'my prod' -n shop patch deployments.apps/web --subresource=scale --type=merge --field-manager=towline -p '{"spec":{"replicas":3}}' # guarded by metadata.resourceVersion`:          m.ScaleCommand(web, 3),
			`echo '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u"},"propagationPolicy":"Background"}' | kubectl --context 'my prod' delete --raw /api/v1/namespaces/shop/services/web -f -`: m.DeleteCommand(service, "u"),
		} {
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	})
	t.Run("with the kubeconfig that was named", func(t *testing.T) {
		t.Setenv("KUBECONFIG", "")
		if got := m.CreateCommand(service); !strings.HasPrefix(got, "kubectl --kubeconfig "+file+" --context ") {
			t.Error(got)
		}
	})
}
