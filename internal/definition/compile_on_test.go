package definition_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/definition"
	"github.com/towline/towline/internal/pipeline"
)

func TestWithoutOnTheBranchOfTheSourceIsWatched(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`{repository: tools}`:                                           "main",
		`{git: "https://github.com/acme/web.git"}`:                      "main",
		`{git: "https://github.com/acme/web.git", branch: develop}`:     "develop",
		`{git: "https://github.com/acme/web.git", branch: "next{one}"}`: `next\{one}`,
	} {
		text := "pipeline: web\nstages:\n  - name: Fetch\n    actions: [{name: code, source: " + source + "}]\n  - name: Test\n    actions: [{name: unit, build: {commands: ['true']}}]\n"
		p, err := definition.Parse([]byte(text), "web")
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		on := pipeline.On{Push: []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{want}}}}}
		if diff := cmp.Diff(on, p.On); diff != "" {
			t.Errorf("%s (-want +got):\n%s", source, diff)
		}
		written, err := definition.Format(p)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if again, err := definition.Parse(written, "web"); err != nil || !cmp.Equal(p, again) {
			t.Errorf("%s: written and read again it is another one, %v:\n%s", source, err, written)
		}
	}
}
