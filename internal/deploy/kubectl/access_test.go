package kubectl

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// names are the files of a directory.
func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

// A process that is killed cannot remove what it has written, so while kubectl
// runs there must be no file with credentials that has a name.
func TestNoFileHoldsCredentialsWhileKubectlRuns(t *testing.T) {
	temporary, seen := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	path := program(t, answers("v1.37.2")+`
[ "$1" = version ] && exit
ls -A `+temporary+` > `+seen+`/left
cat "$2" > `+seen+`/once
cat "$2" > `+seen+`/twice
echo '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"web"}}'
`)
	cluster, err := kube.ConnectWith("prod", kube.Credential{Kind: kube.TokenCredential, Server: "https://127.0.0.1:1", Insecure: true, Token: "a-very-secret-token"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(t.Context(), Config{Cluster: cluster, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "web"}}}
	if _, err := m.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{"left": false, "once": true, "twice": true} {
		text, err := os.ReadFile(filepath.Join(seen, file))
		if err != nil {
			t.Fatal(err)
		}
		if want && !strings.Contains(string(text), "a-very-secret-token") || !want && len(text) > 0 {
			t.Errorf("%s: %q", file, text)
		}
	}
	if left := names(t, temporary); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func TestAFileOfAProcessThatIsNoMoreIsRemoved(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	dead := filePrefix + strconv.Itoa(child.ProcessState.Pid()) + "-1"
	stays := []string{filePrefix + "1-2", filePrefix + "x-3", "other"}
	for _, name := range append(stays, dead) {
		if err := os.WriteFile(filepath.Join(temporary, name), []byte("token"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mine, err := named([]byte("token"))
	if err != nil {
		t.Fatal(err)
	}
	file := mine.args[1]
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	sweep()
	want := slices.Concat(stays, []string{filepath.Base(file)})
	slices.Sort(want)
	if got := names(t, temporary); !slices.Equal(got, want) {
		t.Errorf("%v are left, want %v", got, want)
	}
	mine.drop()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("it is left behind: %v", err)
	}
}
