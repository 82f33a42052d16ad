package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// seeds are the files of the cases in testdata.
func seeds(f *testing.F, add func(name, text string)) {
	f.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range a.Files {
			add(x.Name, string(x.Data))
		}
	}
}

// FuzzParse: whatever the text is, parsing it gives objects or located errors,
// and its objects survive everything that a deployment does to them.
func FuzzParse(f *testing.F) {
	seeds(f, func(name, text string) { f.Add(filepath.Ext(name) == ".json", text) })
	f.Fuzz(func(t *testing.T, isJSON bool, text string) {
		file := "in.yaml"
		if isJSON {
			file = "in.json"
		}
		objs, err := parse(file, []byte(text))
		var located *Error
		if err != nil && (!errors.As(err, &located) || located.Source.File != file || located.Source.Line < 0) {
			t.Fatalf("error %#v", err)
		}
		for _, o := range objs {
			if o.GetKind() == "" || o.GetAPIVersion() == "" || o.GetName() == "" || o.Source.Line < 1 {
				t.Fatalf("object %v at %s", o.Object, o.Source)
			}
		}
		_ = refuseDuplicates(objs)
		_, _ = SetImages(objs, map[string]string{"web": "reg/web:1"})
		_ = SetNamespace(objs, "shop", nil, "*")
		Complete(objs, Recipe{ReadinessPath: "/"})
		HashConfigs(objs)
		objs = Sort(objs)
		encoded, err := Encode(objs)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Encode(decoded)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(encoded), string(again)); diff != "" {
			t.Fatalf("encoded (-want +got)\n%s", diff)
		}
	})
}

// FuzzDecode: what is in the journal may be damaged.
func FuzzDecode(f *testing.F) {
	f.Add("---\n# Source: \"a.yaml\":1\n{\"kind\":\"Pod\"}\n")
	f.Add("---\n# Source: a.yaml:1\n[]\n")
	f.Fuzz(func(t *testing.T, text string) {
		objs, err := Decode([]byte(text))
		if err != nil {
			return
		}
		if _, err := Encode(objs); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzKustomize: no kustomization makes the server panic, or write or fetch
// anything.
func FuzzKustomize(f *testing.F) {
	seeds(f, func(name, text string) {
		if filepath.Base(name) == "kustomization.yaml" {
			f.Add(text)
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		for name, content := range map[string]string{"kustomization.yaml": text, "web.yaml": oneConfigMap, "patch.yaml": oneConfigMap} {
			if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(root, "."); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("error %v", err)
			}
		}
	})
}
