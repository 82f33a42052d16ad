package builder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
)

// vault has a value for each kind of name, and remembers who asked.
type vault struct{ asked chan build.SecretRef }

func (v vault) Secret(_ context.Context, ref build.SecretRef) (string, error) {
	v.asked <- ref
	return "value-of-" + string(ref.Kind), nil
}

func TestAProjectsSecretsAreKnownToItsBuildsAlone(t *testing.T) {
	t.Parallel()
	v := vault{make(chan build.SecretRef, 10)}
	y := setup(t)
	backend, err := host.New(host.Config{Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(y.config.Dir, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	y.config.Runner = func(name string) builder.Runner {
		return build.Action{Backend: backend, Artifacts: y.artifacts, Secrets: v, Project: name}
	}
	y.restart()
	d := definition("web", `test ${#P} = 24 && test ${#M} = 24 && echo they are right`, `echo "it is $P"`)
	d.Environment.Variables = []project.Variable{
		{Name: "P", Value: "/web/password", Type: project.ParameterStore}, {Name: "M", Value: "web:token", Type: project.SecretsManager},
	}
	y.create(d)
	b := y.ended(y.start(builder.StartRequest{Project: "web"}).ID)
	log := y.log(b)
	if b.Status != project.Succeeded || !strings.Contains(log, "they are right\n") || !strings.Contains(log, "it is ***\n") || strings.Contains(log, "value-of-") {
		t.Fatalf("%s\n%s", short(b), log)
	}
	close(v.asked)
	names := map[string]string{}
	for ref := range v.asked {
		if names[string(ref.Kind)] = ref.Name; ref.Project != "web" || ref.Pipeline != "" {
			t.Errorf("asked by %+v", ref)
		}
	}
	if names["parameter-store"] != "/web/password" || names["secrets-manager"] != "web:token" {
		t.Errorf("asked for %v", names)
	}
	text, err := os.ReadFile(filepath.Join(y.config.Dir, "towline.db-wal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "value-of-") {
		t.Error("a secret is in the database")
	}
}
