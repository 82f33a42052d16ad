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
		objs, err := parse(file, []byte(text), nil)
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
		objs, _ = FreezeConfigs(objs)
		NameJobs(objs)
		_, _ = SetSurge(objs, "25%")
		QuotaWarnings(objs, objs, true)
		_, _ = SchemaOf(objs)
		if hooks, err := Hooks(objs); err == nil {
			for _, o := range hooks.Before {
				_, _, _ = UniqueJob(o, JobRun{App: "web", Sequence: 1, Attempt: 1})
			}
		}
		for _, o := range objs {
			Diff(o.Unstructured, objs[0].Unstructured)
		}
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

// FuzzChartArchive: whatever an archive holds, it gives files within limits
// and below the chart, or an error that the user can mend.
func FuzzChartArchive(f *testing.F) {
	f.Add([]byte(tgz(f, tarEntry{name: "web/Chart.yaml", text: chartYAML}, tarEntry{name: "web/charts/a.tgz", text: tgz(f, tarEntry{name: "a/x", text: "x"})})))
	f.Add([]byte(tgz(f, tarEntry{name: "web/../x", text: "x"})))
	f.Fuzz(func(t *testing.T, text []byte) {
		files := chartFiles{root: "web.tgz", text: map[string][]byte{}, left: 1 << 20}
		if err := files.unpack("", text, 0); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("error %v", err)
			}
		}
		for name := range files.text {
			if p, ok := clean(name); !ok || p != name {
				t.Fatalf("file %q", name)
			}
		}
	})
}

// FuzzChart: no Chart.yaml, values or path of a value makes the server panic.
func FuzzChart(f *testing.F) {
	f.Add(chartYAML, "a: 1", "b[0].c")
	f.Add("{apiVersion: v2, name: web, version: 1.0.0, dependencies: [null, {name: a, alias: b, condition: a.b, tags: [x], import-values: [x]}]}", "a: {b: true}\ntags: {x: 1}\n", `a\.b`)
	f.Fuzz(func(t *testing.T, chart, values, key string) {
		root := t.TempDir()
		for name, content := range map[string]string{"Chart.yaml": chart, "values.yaml": values, "charts/a/Chart.yaml": "{apiVersion: v2, name: a, version: 1.0.0}",
			"templates/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {values: {{ toJson .Values | quote }}}\n"} {
			if err := os.WriteFile(filepathIn(t, root, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := LoadChart(root, HelmChart{Path: ".", Release: "web", Values: []string{"values.yaml"}, Set: map[string]any{key: "x"}}); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("error %v", err)
			}
		}
	})
}
