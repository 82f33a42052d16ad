package stack_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towline/towline/internal/codepipeline/stack"
)

func TestADockerfileIsBuiltByDocker(t *testing.T) {
	t.Parallel()
	p := towline()
	for i := range p.Stages {
		if p.Stages[i].Name == "Image" {
			p.Stages[i].Actions[0].Configuration = json.RawMessage(`{"repository":"web","artifact":"app","dockerfile":"docker/it's","context":"src","target":"run","args":{"A":"b c"},"secrets":{"npm":"token"}}`)
		}
	}
	got, leftovers, err := stack.Export(p)
	if err != nil {
		t.Fatal(err)
	}
	// YAML may break the line, so words are compared.
	text := strings.Join(strings.Fields(string(got)), " ")
	if want := `docker build '--file' 'docker/it'\''s' '--target' 'run' '--build-arg' 'A=b c' --tag "$REPOSITORY:$TAG" 'src'`; !strings.Contains(text, want) && !strings.Contains(strings.ReplaceAll(text, "''", "'"), strings.ReplaceAll(want, "''", "'")) {
		t.Errorf("the template has no %s:\n%s", want, got)
	}
	var said []string
	for _, l := range leftovers {
		said = append(said, l.String())
	}
	if !strings.Contains(strings.Join(said, "\n"), "secrets") {
		t.Errorf("leftovers %q", said)
	}
}
