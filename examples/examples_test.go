// Package examples_test holds that what users copy is understood by Towline.
package examples_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/definition"
)

func TestEachExampleHasFiveStages(t *testing.T) {
	t.Parallel()
	for _, name := range examples(t) {
		text := read(t, name, definition.FileName)
		p, err := definition.Parse(text, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var stages []string
		for _, s := range p.Stages {
			stages = append(stages, s.Name)
		}
		if len(stages) != 5 {
			t.Errorf("%s has the stages %v", name, stages)
		}
	}
}

func TestEachBuildspecIsSupportedWhole(t *testing.T) {
	t.Parallel()
	for _, name := range examples(t) {
		for _, file := range []string{"ci/test.yml", "buildspec.yml"} {
			spec, err := buildspec.Parse(file, read(t, name, file))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(spec.Warnings) > 0 {
				t.Errorf("%s/%s: %v", name, file, spec.Warnings)
			}
		}
	}
}

func examples(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/" + definition.FileName)
	if err != nil || len(found) < 2 {
		t.Fatalf("want at least two examples, found %v (%v)", found, err)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
