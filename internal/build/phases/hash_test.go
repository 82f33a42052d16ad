package phases_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/build/phases"
)

// tree writes files of a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a [b]*") // what a glob would take for itself
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHashIsThatOfNamesAndContents(t *testing.T) {
	t.Parallel()
	hash := func(files map[string]string, globs ...string) string {
		h, err := phases.Hash(tree(t, files), globs)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	files := map[string]string{"pom.xml": "top", "a/pom.xml": "a", "a/b/pom.xml": "b", "src/x": "x"}
	all := hash(files, "**/pom.xml")
	for name, got := range map[string]string{
		"again":                    hash(files, "**/pom.xml"),
		"by other globs":           hash(files, "pom.xml", "a/**/pom.xml"),
		"named twice":              hash(files, "**/pom.xml", "pom.xml"),
		"without another file":     hash(map[string]string{"pom.xml": "top", "a/pom.xml": "a", "a/b/pom.xml": "b"}, "**/pom.xml"),
		"with a file left out":     hash(files, "**/*", "!src/**"),
		"with braces":              hash(files, "{pom.xml,a/pom.xml,a/b/pom.xml}"),
		"with a dot before a path": hash(files, "./pom.xml", "./a/**/pom.xml"),
	} {
		if got != all {
			t.Errorf("%s it is another", name)
		}
	}
	for name, got := range map[string]string{
		"a changed file": hash(map[string]string{"pom.xml": "top", "a/pom.xml": "a", "a/b/pom.xml": "c"}, "**/pom.xml"),
		"a moved file":   hash(map[string]string{"pom.xml": "top", "a/pom.xml": "a", "a/c/pom.xml": "b"}, "**/pom.xml"),
		"a file less":    hash(files, "pom.xml", "a/pom.xml"),
	} {
		if got == all {
			t.Errorf("with %s it is the same", name)
		}
	}
}

func TestHashTakesNoPipes(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "a"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := phases.Hash(dir, []string{"*"}); err != nil && !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestHashFilesSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		globs []string
		code  int
		want  string
	}{
		"no file":   {[]string{"no-such-file"}, 1, "no file matches no-such-file in ."},
		"no glob":   {nil, 2, "name the files"},
		"a bad one": {[]string{"[a"}, 1, `"[a" is not a pattern for files`},
	} {
		var out, errs bytes.Buffer
		code, ok := phases.Tool(t.Context(), append([]string{phases.HashFiles}, c.globs...), &out, &errs)
		if !ok || code != c.code || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out.String(), errs.String())
		}
	}
}
