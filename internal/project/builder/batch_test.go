package builder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
)

// graph is a batch of three builds; the last one, which depends on the first,
// fails unless three builds were begun before the batch was.
const graph = `version: 0.2
env: {exported-variables: [WORD]}
batch:
  build-graph:
    - {identifier: base, env: {variables: {WORD: one}}}
    - {identifier: side, env: {variables: {WORD: two}}, ignore-failure: true}
    - {identifier: last, env: {variables: {WORD: three}}, depend-on: [base]}
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER is $CODEBUILD_BUILD_ID and says $WORD"
      - echo $WORD > $WORD.txt
      - test $WORD != two
      - 'test $WORD != three || { cat "$CODEBUILD_SRC_DIR_base/one.txt"; test $CODEBUILD_BUILD_NUMBER -gt 3; }'
artifacts: {files: '*.txt'}
`

// groups are the builds of a batch: "base SUCCEEDED", and how often each was
// begun before.
func (y *yard) groups(b project.Build) (all []string) {
	y.t.Helper()
	for _, g := range b.Groups {
		status := "none"
		if g.Build != "" {
			status = string(y.build(g.Build).Status)
		}
		all = append(all, fmt.Sprintf("%s %s %d", g.Identifier, status, len(g.Prior)))
	}
	return all
}

// batchProject makes a project whose buildspec has a batch.
func (y *yard) batchProject(spec string, change ...func(*project.Definition)) {
	y.t.Helper()
	d := definition("web")
	d.Source.Buildspec = spec
	for _, c := range change {
		c(&d)
	}
	y.create(d)
}

func TestABatchOfBuildsIsRunAndRunAgain(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.batchProject(graph)
	b := y.ended(y.start(builder.StartRequest{Project: "web", Batch: true, Initiator: "me"}).ID)
	if b.Status != project.Failed || b.Number != 1 || !strings.Contains(b.Message, "1 of 3 builds of the batch failed:\nlast: ") {
		t.Fatalf("ended %s\n%s", short(b), y.log(b))
	}
	if diff := cmp.Diff([]string{"SUBMITTED SUCCEEDED", "DOWNLOAD_BATCHSPEC SUCCEEDED", "IN_PROGRESS FAILED", "FAILED FAILED"}, names(b)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"base SUCCEEDED 0", "side FAILED 0", "last FAILED 0"}, y.groups(b)); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
	base := y.build(b.Groups[0].Build)
	if base.PartOf != b.ID || base.Identifier != "base" || base.Number > 3 || base.Initiator != "me" || base.Exported["WORD"] != "one" {
		t.Errorf("a build of it: %+v", base)
	}
	if !strings.Contains(y.log(base), "base is "+base.ID+" and says one\n") || strings.Contains(y.log(base), "says two") {
		t.Errorf("its log:\n%s", y.log(base))
	}
	if log := y.log(b); !strings.Contains(log, "build base is "+base.ID+"\n") || !strings.Contains(log, "build base: SUCCEEDED\n") {
		t.Errorf("the log of the batch:\n%s", log)
	}
	batches, builds := y.list(builder.Filter{Kind: builder.Batches, Limit: 9}), y.list(builder.Filter{Kind: builder.Alone, Limit: 9})
	if len(batches) != 1 || len(builds) != 3 {
		t.Errorf("%d batches, %d builds", len(batches), len(builds))
	}

	if _, err := y.Retry(t.Context(), base.ID, builder.StartRequest{}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("a build of the batch again: %v", err)
	}
	if _, err := y.RetryBatch(t.Context(), base.ID, false, builder.StartRequest{}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("a build as a batch: %v", err)
	}
	request := builder.StartRequest{Token: "one", Digest: "a"}
	for range 2 { // the same request does nothing more
		if _, err := y.RetryBatch(t.Context(), b.ID, false, request); err != nil {
			t.Fatal(err)
		}
	}
	b = y.ended(b.ID)
	if b.Status != project.Succeeded || b.Phase != "SUCCEEDED" || b.Exported["base_WORD"] != "one" || b.Exported["WORD"] != "three" {
		t.Fatalf("again: %s %v\n%s", short(b), b.Exported, y.log(b))
	}
	if diff := cmp.Diff([]string{"base SUCCEEDED 0", "side FAILED 1", "last SUCCEEDED 1"}, y.groups(b)); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
	if _, err := y.RetryBatch(t.Context(), b.ID, true, builder.StartRequest{}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("what has succeeded: %v", err)
	}
	deleted, err := y.DeleteBatch(t.Context(), b.ID)
	if err != nil || len(deleted) != 5 {
		t.Errorf("deleted %v, %v", deleted, err)
	}
	if left := y.list(builder.Filter{Limit: 9}); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if _, err := os.Stat(y.LogFile(base)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log of a build: %v", err)
	}
}

// TestABatchIsTakenUpAgain has a server end while two builds of a batch run, on
// a machine that has room for both.
func TestABatchIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.batchProject(`version: 0.2
batch: {build-graph: [{identifier: a}, {identifier: b}, {identifier: last, depend-on: [a, b]}]}
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER runs"
      - '[ $CODEBUILD_BATCH_BUILD_IDENTIFIER = last ] || while [ ! -e gate ]; do sleep 0.01; done'
`)
	batch := y.start(builder.StartRequest{Project: "web", Batch: true})
	begun := y.running(batch, 2)
	a, b := begun[0], begun[1]
	y.restart()
	for _, number := range []string{"0", "1"} {
		gate := filepath.Join(y.config.Dir, "projects", "work", batch.UUID(), "batch", number, "src", "gate")
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ended := y.ended(batch.ID)
	if diff := cmp.Diff([]string{"a SUCCEEDED 0", "b SUCCEEDED 0", "last SUCCEEDED 0"}, y.groups(ended)); diff != "" || ended.Status != project.Succeeded {
		t.Errorf("%s: builds (-want +got):\n%s\n%s", short(ended), diff, y.log(ended))
	}
	if ended.Groups[0].Build != a.ID || ended.Groups[1].Build != b.ID {
		t.Errorf("other builds than before: %+v", ended.Groups)
	}
	for _, b := range []project.Build{a, b} {
		if log := y.log(b); strings.Count(log, " runs\n") != 1 {
			t.Errorf("build %s has begun again:\n%s", b.Identifier, log)
		}
	}
}

func TestABatchEndsBeforeItsBuildsDo(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
batch: {build-list: [{identifier: a}, {identifier: b}]}
phases: {build: {commands: ['echo $CODEBUILD_BATCH_BUILD_IDENTIFIER runs', exec sleep 1000]}}
`
	for name, c := range map[string]struct {
		config *project.BatchConfig
		end    func(y *yard, batch project.Build, parts []project.Build)
		status project.Status
		says   string
		parts  []string
	}{
		"when it is stopped": {nil, func(y *yard, batch project.Build, _ []project.Build) { y.stop(batch.ID) }, project.Stopped, "the build was stopped", []string{"a STOPPED 0", "b STOPPED 0"}},
		"not when one of its builds is": {nil, func(y *yard, _ project.Build, parts []project.Build) {
			y.stop(parts[0].ID)
			y.ended(parts[0].ID)
			if b := y.build(parts[1].ID); b.Done() {
				y.t.Errorf("the other one: %s", short(b))
			}
			y.stop(parts[1].ID)
		}, project.Failed, "a: the build was stopped", []string{"a STOPPED 0", "b STOPPED 0"}},
		"when it has more than it may": {&project.BatchConfig{Restrictions: &project.Restrictions{Builds: 1}}, nil, project.Failed, "the batch has 2 builds, and the project allows 1", nil},
		"when its kind may not be":     {&project.BatchConfig{Restrictions: &project.Restrictions{ComputeTypes: []string{"BUILD_GENERAL1_LARGE"}}}, nil, project.Failed, "asks for compute type BUILD_GENERAL1_SMALL", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := setup(t)
			y.batchProject(spec, func(d *project.Definition) { d.Batch = c.config })
			batch := y.start(builder.StartRequest{Project: "web", Batch: true})
			if c.end != nil {
				c.end(y, batch, y.running(batch, 2))
			}
			b := y.ended(batch.ID)
			if b.Status != c.status || !strings.Contains(b.Message, c.says) {
				t.Errorf("ended %s\n%s", short(b), y.log(b))
			}
			if diff := cmp.Diff(c.parts, y.groups(b)); diff != "" {
				t.Errorf("builds (-want +got):\n%s", diff)
			}
		})
	}
}

// TestABatchThatTakesTooLongIsTimedOut has a batch that is taken up again when
// its time has long been up.
func TestABatchThatTakesTooLongIsTimedOut(t *testing.T) {
	t.Parallel()
	var away atomic.Int64
	y := setup(t, func(c *builder.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(away.Load())) }
	})
	y.batchProject("version: 0.2\nbatch: {build-list: [{identifier: a}]}\nphases: {build: {commands: [echo a runs, exec sleep 1000]}}\n", func(d *project.Definition) {
		d.Batch = &project.BatchConfig{Timeout: 5}
	})
	batch := y.start(builder.StartRequest{Project: "web", Batch: true})
	y.running(batch, 1)
	if err := y.Shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	away.Store(int64(6 * time.Minute))
	y.restart()
	b := y.ended(batch.ID)
	if b.Status != project.TimedOut || b.Phase != "FAILED" || !strings.Contains(b.Message, "timeoutInMins") {
		t.Errorf("ended %s", short(b))
	}
	if diff := cmp.Diff([]string{"a TIMED_OUT 0"}, y.groups(b)); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
}

func (y *yard) stop(id string) {
	y.t.Helper()
	if _, err := y.Stop(y.t.Context(), id); err != nil {
		y.t.Fatal(err)
	}
}

// running waits until so many builds of a batch run, and returns them by their
// identifiers.
func (y *yard) running(batch project.Build, n int) (all []project.Build) {
	y.t.Helper()
	y.until(fmt.Sprintf("%d builds of batch %s run", n, batch.ID), func() bool {
		all = nil
		for _, b := range y.list(builder.Filter{PartOf: batch.ID, Ascending: true, Limit: 9}) {
			if strings.Contains(y.log(b.Build), b.Identifier+" runs\n") {
				all = append(all, b.Build)
			}
		}
		return len(all) == n
	})
	slices.SortFunc(all, func(a, b project.Build) int { return strings.Compare(a.Identifier, b.Identifier) })
	return all
}

// TestTheBatchOfAnActionIsBuildsOfItsProject gives the job twice, as after a
// crash before the outcome was recorded.
func TestTheBatchOfAnActionIsBuildsOfItsProject(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.sources.files["web"] = map[string]string{"buildspec.yml": strings.Replace(graph, "-gt 3", "-gt 2", 1)}
	source, err := y.sources.Fetch(t.Context(), builder.Fetch{Source: project.Source{Location: "web"}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	source.Artifact.Name = "source"
	d := definition("web")
	d.Source, d.Artifacts = project.Source{Type: project.SourcePipeline}, project.Artifacts{Type: project.ArtifactsPipeline}
	y.create(d)
	dir, logFile := filepath.Join(y.config.Dir, "work", "shop-1"), filepath.Join(y.config.Dir, "unit.log")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	log, err := y.config.OpenLog(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	job := pipeline.Job{
		Pipeline: "shop", Execution: "shop-1", Number: 1, Stage: "Test", Attempt: 1, Action: pipeline.Action{Name: "unit", Outputs: []string{"all", "base"}},
		Configuration: json.RawMessage(`{"ProjectName": "web", "BatchEnabled": "true"}`), Inputs: []pipeline.Artifact{source.Artifact},
		Dir: dir, Log: log, LogFile: logFile, Progress: func(string) {},
	}
	for range 2 {
		result, err := builder.PipelineAction{Builder: y.Builder}.Run(t.Context(), job)
		if err != nil || result.Outcome != pipeline.Succeeded || len(result.Artifacts) != 2 || result.Artifacts[1].Name != "base" || result.Variables["last_WORD"] != "three" {
			text, _ := os.ReadFile(logFile)
			t.Fatalf("ran %+v %v\n%s", result, err, text)
		}
	}
	batches := y.list(builder.Filter{Kind: builder.Batches, Limit: 9})
	if len(batches) != 1 {
		t.Fatalf("%d batches", len(batches))
	}
	batch := batches[0].Build
	if diff := cmp.Diff([]string{"base SUCCEEDED 0", "side FAILED 0", "last SUCCEEDED 0"}, y.groups(batch)); diff != "" || batch.Phase != "SUCCEEDED" {
		t.Errorf("%s: builds (-want +got):\n%s", short(batch), diff)
	}
	base := y.build(batch.Groups[0].Build)
	if text := y.log(base); y.LogFile(base) != logFile || strings.Count(text, "[base] base is "+base.ID+" and says one\n") != 1 {
		t.Errorf("the log of the action:\n%s", text)
	}
	if _, err := y.RetryBatch(t.Context(), batch.ID, false, builder.StartRequest{}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("a retry: %v", err)
	}
}
