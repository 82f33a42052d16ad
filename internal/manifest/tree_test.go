package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oneConfigMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"

// write writes files below a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestLoadFollowsLinksWithinTheSourceOnly(t *testing.T) {
	t.Parallel()
	outside := write(t, map[string]string{"secret.yaml": oneConfigMap, "kustomization.yaml": "resources: [secret.yaml]\n"})
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, root string)
		path    string
		escapes bool
	}{
		{"a file linked within", func(t *testing.T, root string) { link(t, "web.yaml", root+"/k8s/copy.yaml") }, "k8s/copy.yaml", false},
		{"a directory linked within", func(t *testing.T, root string) { link(t, "k8s", root+"/manifests") }, "manifests", false},
		{"a file linked from outside", func(t *testing.T, root string) { link(t, outside+"/secret.yaml", root+"/k8s/z.yaml") }, "k8s", true},
		{"a file linked by a relative way out", func(t *testing.T, root string) {
			link(t, "../../"+filepath.Base(outside)+"/secret.yaml", root+"/k8s/z.yaml")
		}, "k8s/z.yaml", true},
		{"a directory linked from outside", func(t *testing.T, root string) { link(t, outside, root+"/away") }, "away", true},
		{"a link in a circle", func(t *testing.T, root string) { link(t, "z.yaml", root+"/k8s/z.yaml") }, "k8s", true},
		{"a base linked from outside", func(t *testing.T, root string) {
			link(t, outside, root+"/base")
			if err := os.WriteFile(root+"/k8s/kustomization.yaml", []byte("resources: [../base]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "k8s", true},
		{"a generator's file linked from outside", func(t *testing.T, root string) {
			link(t, outside+"/secret.yaml", root+"/k8s/data")
			if err := os.WriteFile(root+"/k8s/kustomization.yaml", []byte("configMapGenerator: [{name: x, files: [data]}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "k8s", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := write(t, map[string]string{"k8s/web.yaml": oneConfigMap})
			tc.prepare(t, root)
			objs, err := Load(root, tc.path)
			var located *Error
			if tc.escapes != errors.As(err, &located) {
				t.Errorf("objects %v, error %v", refs(objs), err)
			}
			if err != nil && strings.Contains(err.Error(), outside) {
				t.Errorf("the error tells what lies outside: %v", err)
			}
		})
	}
}

func TestLoadReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{"k8s/web.yaml": oneConfigMap})
	if err := syscall.Mkfifo(root+"/k8s/pipe.yaml", 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(root, "k8s")
	if diff := cmp.Diff("k8s/pipe.yaml: is no regular file", message(err)); diff != "" {
		t.Errorf("error (-want +got)\n%s", diff)
	}
}

func TestLoadHasLimits(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("---\n"+oneConfigMap, maxObjects+1)
	for name, text := range map[string]string{
		"large.yaml":    strings.Repeat("# comment\n", maxFile/10+1),
		"document.yaml": oneConfigMap + "data: {x: " + strings.Repeat("x", maxDocument) + "}\n",
		"many.yaml":     many,
	} {
		_, err := Load(write(t, map[string]string{name: text}), name)
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: error %v", name, message(err))
		}
	}
}

func TestLoadFaultsWhenTheSourceIsMissing(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "gone"), "k8s")
	var located *Error
	if err == nil || errors.As(err, &located) {
		t.Errorf("error %v must be no *Error: the user cannot mend it", err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
