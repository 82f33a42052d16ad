package kubectl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/kube"
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

// stored is a cluster that did not come from a kubeconfig of the user's own.
func stored(t *testing.T) *kube.Cluster {
	t.Helper()
	t.Skip("see credentials")
	return nil
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
			`kubectl --context 'my prod' -n shop patch deployments.apps/web --subresource=scale --type=merge --field-manager=towline -p '{"spec":{"replicas":3}}'`:                                                m.ScaleCommand(web, 3),
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
