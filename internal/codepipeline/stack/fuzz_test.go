package stack_test

import (
	"testing"

	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/codepipeline/stack"
	"github.com/towline/towline/internal/codepipeline/template"
)

// FuzzExport holds that whatever can be read can be written as a template, that
// a template is YAML, and that it has the pipeline.
func FuzzExport(f *testing.F) {
	for _, p := range []func() []byte{
		func() []byte { text, _ := codepipeline.Declaration(towline()); return text },
		func() []byte {
			return []byte(`{"name":"p","artifactStores":{"eu":{"type":"S3","location":"b"}},"stages":[{"name":"s","actions":[{"name":"a","actionTypeId":{"category":"Build","owner":"Towline","provider":"Image"},"configuration":{"repository":"x.y/z","env":"{\"A\":\"'\\n\"}"}}]}]}`)
		},
	} {
		f.Add(p())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := codepipeline.Read(text)
		if err != nil {
			return
		}
		written, _, err := stack.Export(p)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		back, err := template.Parse(written)
		if err != nil {
			t.Fatalf("%q becomes no template: %v\n%s", text, err, written)
		}
		if found := back.Resources("AWS::CodePipeline::Pipeline"); len(found) != 1 {
			t.Errorf("%q becomes a template with the pipelines %v:\n%s", text, found, written)
		}
	})
}
