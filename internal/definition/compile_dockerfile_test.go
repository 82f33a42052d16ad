package definition_test

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/definition"
)

const packaged = "pipeline: web\nstages: [{name: Package, actions: [{name: app, build: {}}]}, {name: Image, actions: [{name: image, image: {repository: web, "

func TestADockerfileIsOfTheSource(t *testing.T) {
	t.Parallel()
	p := parse(t, packaged+"dockerfile: Dockerfile}}]}]\n")
	inJSON(t, p.Stages[2].Actions[0].Inputs, `["source"]`)
	p = parse(t, packaged+"dockerfile: Dockerfile, artifact: app}}]}]\n")
	inJSON(t, p.Stages[2].Actions[0].Inputs, `["app"]`)
	p = parse(t, packaged+"entrypoint: [/app/web]}}]}]\n")
	inJSON(t, p.Stages[2].Actions[0].Inputs, `["app"]`)
}

func TestWhatDoesNotGoWithADockerfile(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		"dockerfile: Dockerfile, base: scratch":   "base does not go with dockerfile",
		"dockerfile: Dockerfile, entrypoint: [a]": "entrypoint does not go with dockerfile",
		"target: run":                                            "target goes with dockerfile",
		"secrets: {npm: token}":                                  "secrets goes with dockerfile",
		"dockerfile: /etc/Dockerfile":                            `"/etc/Dockerfile" is not a path within the source`,
		"dockerfile: Dockerfile, context: ../..":                 `"../.." is not a path within the source`,
		`dockerfile: Dockerfile, bases: {"jre:17": "../layout"}`: `the base "jre:17" is "../layout"`,
	} {
		_, err := definition.Parse([]byte(packaged+keys+"}}]}]\n"), "web")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q", keys, err, want)
		}
	}
}
