package build_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

const batched = `version: 0.2
batch:
  build-graph:
    - identifier: base
      env: {variables: {WORD: from-base}}
    - identifier: left
      depend-on: [base]
      buildspec: ci/left.yml
    - identifier: right
      depend-on: [base]
      ignore-failure: true
      env: {variables: {WORD: from-right, FAIL: "1"}}
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER says $WORD"
      - echo "$WORD" > $CODEBUILD_BATCH_BUILD_IDENTIFIER.txt
      - test -z "$FAIL"
artifacts:
  files: '*.txt'
`

const left = `version: 0.2
env: {exported-variables: [SIDE]}
phases:
  build:
    commands:
      - cat "$CODEBUILD_SRC_DIR_base/base.txt" > left.txt
      - SIDE=left
reports: {unit: {files: t.xml}}
artifacts: {files: left.txt, secondary-artifacts: {more: {files: t.xml}}}
`

func TestActionRunsABatch(t *testing.T) {
	t.Parallel()
	files := map[string]string{"buildspec.yml": batched, "ci/left.yml": left, "t.xml": junit}
	for name, c := range map[string]struct {
		batch pipeline.Batch
		want  map[string]string
	}{
		"each in a directory": {pipeline.Batch{}, map[string]string{"base/base.txt": "from-base\n", "left/left.txt": "from-base\n"}},
		"combined":            {pipeline.Batch{Combine: true}, map[string]string{"base.txt": "from-base\n", "left.txt": "from-base\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, files, pipeline.Build{Batch: &c.batch})
			got := run(t, o)
			if got.Outcome != pipeline.Succeeded || len(got.Artifacts) != 1 {
				t.Fatalf("%+v\n%s", got, logOf(t, o))
			}
			if diff := cmp.Diff("3 builds · right failed, which is ignored · 2 passed", got.Summary); diff != "" {
				t.Error("summary (-want +got)\n", diff)
			}
			if got.Artifacts[0].Name != "app" {
				t.Errorf("the artifact is %+v", got.Artifacts[0])
			}
			if diff := cmp.Diff(map[string]string{"SIDE": "left", "left_SIDE": "left"}, got.Variables); diff != "" {
				t.Error("variables (-want +got)\n", diff)
			}
			if diff := cmp.Diff(c.want, contents(t, o.Store, got.Artifacts[0])); diff != "" {
				t.Error("artifact (-want +got)\n", diff)
			}
			log := logOf(t, o)
			for _, want := range []string{"\n[base] base says from-base\n", "\n[right] right says from-right\n", "\n[left] [build] $ cat"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log has no %q:\n%s", want, log)
				}
			}
			// Given the job once more, it takes what there is.
			again := run(t, o)
			if diff := cmp.Diff(got, again); diff != "" {
				t.Error("once more (-first +second)\n", diff)
			}
			if n := strings.Count(logOf(t, o), "base says"); n != 1 {
				t.Errorf("build base is in the log %d times", n)
			}
		})
	}
}

// TestABatchHandsOnTheArtifactsThatAreNamed names outputs as CodePipeline has
// them: by the identifier of a build, and of its secondary artifact behind that.
func TestABatchHandsOnTheArtifactsThatAreNamed(t *testing.T) {
	t.Parallel()
	files := map[string]string{"buildspec.yml": batched, "ci/left.yml": left, "t.xml": junit}
	whole := map[string]string{"base/base.txt": "from-base\n", "left/left.txt": "from-base\n"}
	parted := []map[string]string{{"base.txt": "from-base\n"}, {"t.xml": junit}}
	for name, c := range map[string]struct {
		outputs []string
		want    map[string]map[string]string
	}{
		"those alone":             {[]string{"base", "left_more"}, map[string]map[string]string{"base": parted[0], "left_more": parted[1]}},
		"and the whole by a name": {[]string{"app", "left_more"}, map[string]map[string]string{"app": whole, "left_more": parted[1]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, files, pipeline.Build{Batch: &pipeline.Batch{}})
			o.Job.Action.Outputs = c.outputs
			result := run(t, o)
			got := map[string]map[string]string{}
			for _, a := range result.Artifacts {
				got[a.Name] = contents(t, o.Store, a)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("artifacts (-want +got)\n", diff, logOf(t, o))
			}
		})
	}
}

func TestActionTellsWhatFailedOfABatch(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
batch:
  build-list:
    - {identifier: good}
    - {identifier: bad, env: {variables: {FAIL: "1"}}}
    - {identifier: gone, buildspec: none.yml}
    - {identifier: windows, env: {type: WINDOWS_SERVER_2022_CONTAINER}}
phases: {build: {commands: ['test -z "$FAIL"']}}
`
	o := newOrder(t, map[string]string{"buildspec.yml": spec}, pipeline.Build{Batch: &pipeline.Batch{}})
	got := run(t, o)
	want := `3 of 4 builds of the batch failed:
bad: phase build failed: "test -z \"$FAIL\"" ended with exit code 1
gone: commit 3f9c2e1 has no none.yml: the top of the source has buildspec.yml. Add the file, or say where it is by build.buildspec in towline.yaml or --buildspec on the command line, or list the commands by build.commands.
windows: env.type is WINDOWS_SERVER_2022_CONTAINER, and builds run on Linux alone`
	if diff := cmp.Diff(want, got.Message); diff != "" || got.Outcome != pipeline.Failed {
		t.Errorf("%s (-want +got)\n%s", got.Outcome, diff)
	}
}

func TestActionSharesTestsAmongTheBuildsOfAFanOut(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
batch: {build-fanout: {parallelism: 3}}
phases:
  build:
    commands:
      - cd tests
      - |
        codebuild-tests-run --files-search "codebuild-glob-search '**/*_test.txt'" \
          --test-command 'touch ../end; cat'
`
	files := map[string]string{"buildspec.yml": spec, "tests/other.txt": "no"}
	for _, name := range []string{"a", "b c", "d/e", "f", "g"} {
		files["tests/"+name+"_test.txt"] = "tested " + name + "\n"
	}
	o := newOrder(t, files, pipeline.Build{Batch: &pipeline.Batch{}})
	if got := run(t, o); got.Outcome != pipeline.Succeeded {
		t.Fatal(got, logOf(t, o))
	}
	var tested []string
	for line := range strings.Lines(logOf(t, o)) {
		if strings.Contains(line, "] tested ") {
			tested = append(tested, strings.TrimSpace(line))
		}
	}
	slices.Sort(tested)
	want := []string{"[build0] tested a", "[build0] tested f", "[build1] tested b c", "[build1] tested g", "[build2] tested d/e"}
	if diff := cmp.Diff(want, tested); diff != "" {
		t.Error("(-want +got)\n", diff, logOf(t, o))
	}
}

func TestActionRefusesToCombineFilesOfOneName(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
batch: {build-list: [{identifier: a}, {identifier: b}]}
phases: {build: {commands: ['mkdir -p out/deep; echo $CODEBUILD_BATCH_BUILD_IDENTIFIER > out/deep/same.txt']}}
artifacts: {files: out/**/*}
`
	o := newOrder(t, map[string]string{"buildspec.yml": spec}, pipeline.Build{Batch: &pipeline.Batch{Combine: true}})
	got := run(t, o)
	const want = "build b makes out/deep/same.txt, as another build of the batch does; let each have files of its own, or do not combine them"
	if got.Outcome != pipeline.Failed || !strings.Contains(got.Message, want) {
		t.Errorf("got %+v", got)
	}
}

func TestActionRefusesABatchThatThereIsNot(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n"}, pipeline.Build{Batch: &pipeline.Batch{}})
	if got := run(t, o); got.Outcome != pipeline.Failed || got.Message != "the buildspec has no batch; add one, or run it as one build" {
		t.Errorf("got %+v", got)
	}
	o = newOrder(t, map[string]string{"buildspec.yml": "version: 0.2\nbatch: {build-fanout: {parallelism: 2}}\n"}, pipeline.Build{})
	if got := run(t, o); got.Outcome != pipeline.Failed || got.Message != "the buildspec has a batch and no commands of its own; run it as a batch, or add phases" {
		t.Errorf("got %+v", got)
	}
}

// TestABatchOutlivesItsServer kills the server while two builds run and a third
// has to wait for them.
func TestABatchOutlivesItsServer(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
batch:
  build-graph:
    - {identifier: a}
    - {identifier: b}
    - {identifier: last, depend-on: [a, b]}
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER began"
      - '[ $CODEBUILD_BATCH_BUILD_IDENTIFIER = last ] || while [ ! -e go ]; do sleep 0.01; done'
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER ended"
`
	o := newOrder(t, map[string]string{"buildspec.yml": spec}, pipeline.Build{Batch: &pipeline.Batch{}})
	server, _ := o.server(t)
	waittest.Until(t, "a began", o.logs(t, "[a] a began"))
	waittest.Until(t, "b began", o.logs(t, "[b] b began"))
	kill(t, server.Process.Pid)
	_ = server.Wait()
	var err error
	for _, number := range []string{"0", "1"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(o.Job.Dir, "batch", number, "src", "go"), nil, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "a ended while no server lives", o.logs(t, "[a] a ended"))
	server, out := o.server(t)
	if err := server.Wait(); err != nil {
		t.Fatal(err, logOf(t, o))
	}
	var result pipeline.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Outcome != pipeline.Succeeded {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{"[a] a began", "[a] a ended", "[b] b began", "[b] b ended", "[last] last began", "[last] last ended"} {
		if n := strings.Count(logOf(t, o), line+"\n"); n != 1 {
			t.Errorf("%q is in the log %d times:\n%s", line, n, logOf(t, o))
		}
	}
}
