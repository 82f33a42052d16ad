package lambda_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/lambda"
)

func TestAPackageIsWhatLambdaTakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "config")
	if err := os.WriteFile(kubeconfig, []byte("kind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := lambda.Package{Executable: static(t), Kubeconfig: kubeconfig}
	var first, second bytes.Buffer
	architecture, err := given.Write(&first)
	_, again := given.Write(&second)
	if err := errors.Join(err, again); err != nil {
		t.Fatal(err)
	}
	if architecture != "x86_64" && architecture != "arm64" {
		t.Error(architecture)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same files make different packages")
	}
	archive, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]string{}
	for _, f := range archive.File {
		modes[f.Name] = f.Mode().String()
	}
	if diff := cmp.Diff(map[string]string{"bootstrap": "-rwxr-xr-x", "kubeconfig": "-rw-r--r--"}, modes); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// static is a program that needs no libraries: this test's, as `make test`
// builds it.
func static(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAProgramThatLambdaCannotRunIsRefused(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{script, "/bin/sh", filepath.Join(t.TempDir(), "absent")} {
		if _, err := (lambda.Package{Executable: program}).Write(&bytes.Buffer{}); err == nil {
			t.Errorf("%s was packed", program)
		}
	}
}
