package checkout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirFindsTheTreeOfThisTest(t *testing.T) {
	t.Parallel()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "internal", "checkout", "checkout.go")); err != nil {
		t.Errorf("Dir() = %s, which is not the source tree: %v", dir, err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "go.mod"), "module github.com/towline/towline\n\ngo 1.26.0\n")
	nested := filepath.Join(tree, "localkube", "kube")
	write(t, filepath.Join(nested, "go.mod"), "module github.com/towline/towline/localkube/kube\n")
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "go.mod"), "module example.com/other\n")

	tests := []struct {
		name   string
		starts []string
		want   string
	}{
		{"at the root", []string{tree}, tree},
		{"from inside a nested module", []string{nested}, tree},
		{"the working directory when the compiled-in path is gone", []string{"/no/such/dir", nested}, tree},
		{"the working directory when the compiled-in path was trimmed", []string{"github.com/towline/towline/internal/checkout", tree}, tree},
		{"not another module", []string{elsewhere}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := find(test.starts...)
			if got != test.want {
				t.Errorf("find(%v) = %q, want %q", test.starts, got, test.want)
			}
			if test.want == "" && (!errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "clone")) {
				t.Errorf("find(%v): error %v does not say how to mend it", test.starts, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
