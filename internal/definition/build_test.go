package definition

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

// FuzzParseBuild holds that what is taken for a build is right as a section of
// towline.yaml too, and says the same when it is written in JSON, which is YAML.
func FuzzParseBuild(f *testing.F) {
	for _, seed := range []string{
		"pod: {image: 'golang:1.26', cpu: \"2\", nodeSelector: {disk: fast}}\nservices: {db: {engine: postgres}}\n",
		"compute: host\nlimits: {memory: 2Gi, disk: 1Ti, processes: 500}\ntimeout: 20m\nbuildspec: a.yml\n",
		"commands: [\"make\", \"a: b\"]\nartifacts: [out/**]\nreports: ['*.xml']\nenv: {A: 1, B: yes, C: ~}\nsecrets: {T: token}\n",
		"batch: {}\nkubeconfig: {namespace: web, serviceAccount: deployer}\n",
		"env: &e {A: b}\nsecrets: *e\n", "<<: {compute: pod}\n", "? [a]\n: b\n", "compute: pod\n---\ncompute: pod\n", "timeout: 1e9h\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBuild(text)
		if err != nil {
			if problems, ok := errors.AsType[Problems](err); !ok || len(problems) == 0 || problems[0].Line < 1 || problems[0].Column < 1 {
				t.Errorf("%q: error without a place: %v", text, err)
			}
			return
		}
		written, err := json.Marshal(b)
		if err != nil {
			t.Fatalf("accepted %q, but: %v", text, err)
		}
		if len(written) > maxSize/2 {
			return // Escapes may have made it larger than a file may be.
		}
		again, err := ParseBuild(written)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, written, err)
		}
		if diff := cmp.Diff(b, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q became %q (-first +again):\n%s", text, written, diff)
		}
		if _, err := Parse([]byte(`{"pipeline": "web", "stages": [{"name": "Build", "actions": [{"name": "build", "build": `+string(written)+`}]}]}`), "web"); err != nil {
			t.Errorf("%q is no section of %s: %v", written, FileName, err)
		}
	})
}
