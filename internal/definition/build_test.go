package definition

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

func TestParseBuild(t *testing.T) {
	t.Parallel()
	got, err := ParseBuild([]byte("pod: {image: 'golang:1.26', cpu: \"2\", nodeSelector: {disk: fast}}\nservices: {db: {engine: postgres}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.Build{
		Pod:      &pipeline.Pod{Image: "golang:1.26", CPU: "2", NodeSelector: map[string]string{"disk": "fast"}},
		Services: map[string]pipeline.Service{"db": {Engine: "postgres"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestParseBuildSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a key that there is not":     {"pod:\n  memry: 1Gi\n", "f:2:3: "},
		"a host with a Pod":           {"compute: host\npod: {image: a}\n", "f:2:"},
		"an engine that there is not": {"services:\n  db: {engine: oracle}\n", "f:2:"},
		"a timeout that is none":      {"compute: pod\ntimeout: soon\n", "f:2:"},
		"a credential of nobody":      {"compute: pod\nkubeconfig: {namespace: a}\n", "f:2:"},
		"commands beside a buildspec": {"commands: [a]\nbuildspec: b\n", "both buildspec and commands"},
		"nothing":                     {"", "f:1:1: the file is empty; write the keys of a build section"},
		"two documents":               {"compute: pod\n---\ncompute: pod\n", "keep one build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseBuild([]byte(c.text))
			problems, ok := errors.AsType[Problems](err)
			if !ok || !strings.Contains(problems.In("f"), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
