package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the tests see into testdata")

// archive is one case of testdata: a title, settings such as "path: k8s", the
// files that go in, and the files that must come out.
type archive struct {
	file     string
	title    string
	settings map[string]string
	txtar    *txtar.Archive
}

// eachArchive runs a test for each case below testdata/dir, named by its title.
func eachArchive(t *testing.T, dir string, run func(t *testing.T, a archive)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata/%s: %v", dir, err)
	}
	for _, f := range files {
		parsed, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		a := archive{file: f, settings: map[string]string{}, txtar: parsed}
		for line := range strings.Lines(string(parsed.Comment)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if a.title == "" {
				a.title = strings.TrimSpace(line)
			} else if ok {
				a.settings[key] = value
			}
		}
		t.Run(a.title, func(t *testing.T) {
			t.Parallel()
			run(t, a)
		})
	}
}

// root writes the files that go in to a directory.
func (a archive) root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.txtar.Files {
		if strings.HasPrefix(f.Name, "want.") {
			continue
		}
		p := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// expect compares what came out with the file of that name.
func (a archive) expect(t *testing.T, name, got string) {
	t.Helper()
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	want, at := "", -1
	for i, f := range a.txtar.Files {
		if f.Name == name {
			want, at = string(f.Data), i
		}
	}
	if *update {
		if at >= 0 {
			a.txtar.Files[at].Data = []byte(got)
		} else {
			a.txtar.Files = append(a.txtar.Files, txtar.File{Name: name, Data: []byte(got)})
		}
		if err := os.WriteFile(a.file, txtar.Format(a.txtar), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

// load reads in.yaml.
func (a archive) load(t *testing.T) []Object {
	t.Helper()
	objs, err := Load(a.root(t), "in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// bodies writes objects as people read them, without their sources.
func bodies(t *testing.T, objs []Object) string {
	t.Helper()
	text, err := YAML(Wrap(unstructuredOf(objs)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func lines[T fmt.Stringer](items []T) string {
	var b strings.Builder
	for _, i := range items {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// text is the content of one file, or empty.
func (a archive) text(name string) string {
	for _, f := range a.txtar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}
