package build_test

import (
	"os"
	"strings"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

// TestABuildspecKeepsFilesFromBuildToBuild walks a key through its life: nothing
// yet, saved, restored, and a newer one that begins with the older one's files.
func TestABuildspecKeepsFilesFromBuildToBuild(t *testing.T) {
	t.Parallel()
	const buildspec = `version: 0.2
env: {variables: {KIND: npm}}
phases:
  build:
    commands:
      - echo "found $(cat node_modules/dep 2>/dev/null || echo nothing) and $(cat ~/.npm/index 2>/dev/null || echo nothing)"
      - mkdir -p node_modules ~/.npm && cp lock node_modules/dep && cp lock ~/.npm/index
      - test "$(cat lock)" != broken
cache:
  key: $KIND-$(codebuild-hash-files lock)
  fallback-keys: ["$KIND-"]
  paths: ["node_modules/**/*", "/root/.npm/**/*"]
`
	first := newOrder(t, nil, pipeline.Build{})
	for i, step := range []struct{ pipeline, lock, want, log string }{
		{"web", "broken", "found nothing and nothing", "cache: there is none yet of the key npm-"},
		{"web", "one", "found nothing and nothing", "cache: saved 2 files of the key npm-"},
		{"web", "one", "found one and one", "cache: restored 2 files of the key npm-"},
		{"web", "two", "found one and one", "cache: saved 2 files of the key npm-"},
		{"web", "three", "found two and two", "cache: saved 2 files of the key npm-"},
		{"web", "one", "found one and one", "cache: restored 2 files of the key npm-"},
		{"api", "one", "found nothing and nothing", "cache: there is none yet of the key npm-"},
	} {
		o := newOrder(t, map[string]string{"buildspec.yml": buildspec, "lock": step.lock}, pipeline.Build{})
		o.Cache, o.Job.Pipeline = first.Cache, step.pipeline
		got := run(t, o)
		log := logOf(t, o)
		if (got.Outcome == pipeline.Succeeded) == (step.lock == "broken") || !strings.Contains(log, "\n"+step.want+"\n") || !strings.Contains(log, step.log) {
			t.Fatalf("step %d: %s, want %q and %q\n%s", i, got.Outcome, step.want, step.log, log)
		}
	}
	if entries, err := os.ReadDir(first.Cache + "/archives"); err != nil || len(entries) != 2 {
		t.Errorf("archives of %v, %v", entries, err)
	}
}

// TestABuildCannotReadTheArchivesOfCaches looks for them where the runner has
// them.
func TestABuildCannotReadTheArchivesOfCaches(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": `version: 0.2
phases:
  build:
    commands:
      - ls "$CODEBUILD_SRC_DIR/../own/archives" || echo not reached
cache: {paths: ["*.txt"]}
`, "a.txt": "a"}, pipeline.Build{})
	run(t, o)
	if log := logOf(t, o); !strings.Contains(log, "\nnot reached\n") || !strings.Contains(log, "cache: saved 1 file") {
		t.Error(log)
	}
}
