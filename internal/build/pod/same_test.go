package pod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// runnerCommand makes the test binary the runner of a build on this machine.
const runnerCommand = "build-runner"

// sameSpec asks for a little of everything.
const sameSpec = `version: 0.2
env:
  variables: {GREETING: hello}
  exported-variables: [VERSION, HERE]
phases:
  install:
    commands: ["mkdir -p out/deep && cd out"]
  build:
    commands:
      - export VERSION=1.2.$CODEBUILD_BUILD_NUMBER HERE=$PWD
      - echo "$GREETING $VERSION in ${PWD#"$CODEBUILD_SRC_DIR"}" | tee deep/greeting
      - cp ../kept deep/ && rm ../removed && ln -s greeting deep/link && chmod 755 deep/kept
      - touch -d @1000000000 deep/*
      - cp ../tests.xml . && ls -l --time-style=+ deep | cut -c1-10
    finally: ["echo finally $CODEBUILD_BUILD_SUCCEEDING"]
  post_build:
    commands: ["psql -XAtc 'select 40 + 2'", "if [ -e ../fail ]; then echo broken >&2; exit 3; fi"]
reports: {tests: {files: [tests.xml], base-directory: out}}
artifacts: {files: ["**/*"], base-directory: out/deep, name: web-$VERSION}
`

const junit = `<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="no"/></testcase></testsuite>`

// TestHostAndPodGiveTheSameResult runs the same action on both.
func TestHostAndPodGiveTheSameResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	caches := t.TempDir()
	if err := os.Chmod(filepath.Dir(caches), 0o711); err != nil {
		t.Fatal(err)
	}
	here, err := host.New(host.Config{Runner: []string{os.Args[0], runnerCommand}, CacheDir: filepath.Join(caches, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	backends := build.Backends{pipeline.ComputeHost: here, pipeline.ComputePod: b.backend(t)}
	for name, files := range map[string]map[string]string{
		"that succeeds": {},
		"that fails":    {"fail": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var results []pipeline.Result
			var logs []string
			for _, compute := range []string{pipeline.ComputeHost, pipeline.ComputePod} {
				result, log := runAction(t, backends, compute, files)
				results, logs = append(results, result), append(logs, log)
			}
			if diff := cmp.Diff(withoutTimes(t, results[0]), withoutTimes(t, results[1])); diff != "" {
				t.Error("(-host +pod)\n", diff)
			}
			if diff := cmp.Diff(logs[0], logs[1]); diff != "" {
				t.Error("log (-host +pod)\n", diff)
			}
			if want := map[string]pipeline.Outcome{"that succeeds": pipeline.Succeeded, "that fails": pipeline.Failed}[name]; results[1].Outcome != want {
				t.Errorf("outcome %s: %s", results[1].Outcome, results[1].Message)
			}
		})
	}
}

// withoutTimes is a result without what differs from run to run.
func withoutTimes(t *testing.T, r pipeline.Result) any {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(seconds.ReplaceAll(text, nil), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

var seconds = regexp.MustCompile(`,"seconds":[0-9.e-]+`)

func runAction(t *testing.T, backends build.Backends, compute string, more map[string]string) (pipeline.Result, string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	files := map[string]string{"buildspec.yml": sameSpec, "kept": "kept\n", "removed": "", "tests.xml": junit}
	maps.Copy(files, more)
	store, err := artifact.Open(t.Context(), filepath.Join(dir, "store"))
	err = errors.Join(err, os.Chmod(filepath.Dir(dir), 0o711), os.Chmod(dir, 0o711), os.Mkdir(source, 0o755), os.Mkdir(filepath.Join(dir, "job"), 0o711))
	var names []string
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(source, name), []byte(text), 0o644))
		names = append(names, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	digest, _, err := store.Pack(t.Context(), source, names)
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := json.Marshal(pipeline.Build{
		Compute: compute, Services: map[string]pipeline.Service{"db": {Engine: "postgres", Version: postgresVersion}},
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := report.OpenLog(filepath.Join(dir, "action.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	result, err := build.Action{Backend: backends, Artifacts: store}.Run(t.Context(), pipeline.Job{
		Pipeline: "web", Execution: "web-7", Number: 7, Stage: fmt.Sprintf("Test%d", len(more)), Attempt: 1, Action: pipeline.Action{Name: "unit-" + compute, Outputs: []string{"out"}},
		Configuration: configuration, Inputs: []pipeline.Artifact{{Name: "source", Digest: digest}},
		Dir: filepath.Join(dir, "job"), Log: log, LogFile: filepath.Join(dir, "action.log"),
	})
	text := commandLines(t, filepath.Join(dir, "action.log"))
	if err != nil {
		t.Fatalf("%s: %v\n%s", compute, err, text)
	}
	return result, text
}

// commandLines are the lines of a log, without their times and those that a
// backend says of itself.
func commandLines(t *testing.T, file string) string {
	t.Helper()
	var lines []string
	err := report.Follow(context.Background(), file, 0, func() bool { return true }, func(l report.Line) error {
		if !strings.Contains(l.Text, " backend: ") && !strings.HasPrefix(l.Text, "service db: ") {
			lines = append(lines, l.Text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
