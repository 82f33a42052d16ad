package builder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/project/reports"
	"github.com/towline/towline/internal/waittest"
)

const junit = `<testsuite name="web"><testcase name="TestA"/><testcase name="TestB"><failure message="got 1"/></testcase></testsuite>`

func TestABuildOfAProjectFromStartToEnd(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.sources.files["web"] = map[string]string{"ci.yml": `version: 0.2
env: {exported-variables: [VERSION]}
phases:
  install: {commands: ['VERSION=1.$CODEBUILD_BUILD_NUMBER']}
  build:
    commands:
      - echo "$GREETING from $CODEBUILD_BUILD_ID by $CODEBUILD_INITIATOR at $CODEBUILD_RESOLVED_SOURCE_VERSION in $AWS_REGION"
      - cat "$CODEBUILD_SRC_DIR_lib/lib.txt"
      - echo made > app.txt
artifacts: {files: [app.txt]}
`}
	y.sources.files["lib"] = map[string]string{"lib.txt": "the library\n"}
	d := definition("web")
	d.Source = project.Source{Type: "GITHUB", Location: "web", Buildspec: "ci.yml"}
	d.SecondarySources = []project.Source{{Type: "GITHUB", Location: "lib", Identifier: "lib"}}
	d.Environment.Variables = []project.Variable{{Name: "GREETING", Value: "hello"}}
	y.create(d)
	y.start(builder.StartRequest{Project: "web", Version: "gone"})
	asked := y.start(builder.StartRequest{Project: "web", Version: "main", Initiator: "me", Region: "eu-west-1", Change: func(d *project.Definition) {
		d.Environment.Override([]project.Variable{{Name: "GREETING", Value: "bonjour"}})
	}})
	if asked.Number != 2 || asked.Phase != project.PhaseQueued || asked.Status != project.InProgress {
		t.Errorf("asked for %s", short(asked))
	}
	b := y.ended(asked.ID)
	if b.Status != project.Succeeded || b.Resolved != "resolved main" || len(b.Artifacts) != 1 {
		t.Fatalf("ended %s\n%s", short(b), y.log(b))
	}
	if diff := cmp.Diff([]string{
		"SUBMITTED SUCCEEDED", "QUEUED SUCCEEDED", "PROVISIONING SUCCEEDED", "DOWNLOAD_SOURCE SUCCEEDED", "INSTALL SUCCEEDED", "BUILD SUCCEEDED",
		"UPLOAD_ARTIFACTS SUCCEEDED", "FINALIZING SUCCEEDED", "COMPLETED SUCCEEDED",
	}, names(b)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	for i, p := range b.Phases[1:] {
		if p.Started.Before(b.Phases[i].Started) || p.Ended.Before(p.Started) || p.Ended.After(b.Ended) {
			t.Errorf("phase %s: %v to %v", p.Name, p.Started, p.Ended)
		}
	}
	if diff := cmp.Diff(map[string]string{"VERSION": "1.2"}, b.Exported); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	for _, line := range []string{"bonjour from " + b.ID + " by me at resolved main in eu-west-1", "the library"} {
		if !strings.Contains(y.log(b), line) {
			t.Errorf("the log lacks %q:\n%s", line, y.log(b))
		}
	}
	waittest.Until(t, "the builds' directories are gone", func() bool {
		left, err := os.ReadDir(filepath.Join(y.config.Dir, "projects", "work"))
		return err == nil && len(left) == 0
	})
	gone := y.ended(y.list(builder.Filter{Project: "web", Limit: 9})[1].ID)
	if gone.Status != project.Failed || gone.Message != "repository web has no revision gone" || !strings.Contains(fmt.Sprint(names(gone)), "DOWNLOAD_SOURCE FAILED COMPLETED FAILED") {
		t.Errorf("of a version that is not there: %s", short(gone))
	}
}

func TestABuildThatFailsSaysWhere(t *testing.T) {
	t.Parallel()
	y := setup(t)
	d := definition("web")
	d.Source.Buildspec = `version: 0.2
phases:
  build: {commands: ['printf %s "$REPORT" > report.xml', 'echo about to fail; exit 7']}
  post_build: {commands: [echo after]}
reports: {unit: {files: [report.xml]}}
`
	d.Environment.Variables = []project.Variable{{Name: "REPORT", Value: junit}}
	y.create(d)
	b := y.ended(y.start(builder.StartRequest{Project: "web"}).ID)
	want := []string{
		"SUBMITTED SUCCEEDED", "QUEUED SUCCEEDED", "PROVISIONING SUCCEEDED", "DOWNLOAD_SOURCE SUCCEEDED",
		"BUILD FAILED", "POST_BUILD SUCCEEDED", "COMPLETED FAILED",
	}
	if diff := cmp.Diff(want, names(b)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if b.Status != project.Failed || !strings.Contains(b.Message, "exit code 7") || !strings.Contains(b.Phases[4].Message, "exit 7") {
		t.Errorf("ended %s\n%s", short(b), y.log(b))
	}
	if b.Tests == nil || b.Tests.Passed != 1 || b.Tests.Failed != 1 {
		t.Errorf("tests %+v", b.Tests)
	}
	if _, whole, err := y.Reports.Whole(t.Context(), strings.Join(b.Reports, " ")); err != nil || len(whole.Cases) != 2 || whole.Cases[0].Status != pipeline.TestPassed {
		t.Errorf("reports %v: %+v, %v", b.Reports, whole, err)
	}
	if groups, err := y.Reports.Groups(t.Context()); err != nil || len(groups) != 1 || groups[0].Name != "web-unit" || groups[0].Kind != reports.OfTests {
		t.Errorf("report groups %+v, %v", groups, err)
	}
	if tested := y.list(builder.Filter{Tested: true, Limit: 9}); len(tested) != 1 {
		t.Errorf("%d builds have tests", len(tested))
	}
	if !strings.Contains(y.log(b), "FAILED: phase build failed") {
		t.Errorf("the log does not say so:\n%s", y.log(b))
	}
}

func TestABuildIsStoppedWhereverItStands(t *testing.T) {
	t.Parallel()
	y := setup(t)
	d := definition("web", "echo $$ > /dev/null; echo running; exec sleep 1000")
	d.Limit = 1
	y.create(d)
	running := y.start(builder.StartRequest{Project: "web"})
	waiting := y.start(builder.StartRequest{Project: "web"})
	y.says(running, "running")
	if b := y.build(waiting.ID); b.Phase != project.PhaseQueued {
		t.Errorf("two builds run of a project whose limit is 1: %s", short(b))
	}
	for _, asked := range []project.Build{waiting, running} {
		if _, err := y.Stop(t.Context(), asked.ID); err != nil {
			t.Fatal(err)
		}
		if b := y.ended(asked.ID); b.Status != project.Stopped || b.Phase != project.PhaseCompleted {
			t.Errorf("stopped: %s", short(b))
		}
	}
	if again, err := y.Stop(t.Context(), running.ID); err != nil || again.Status != project.Stopped {
		t.Errorf("stop what has ended: %s %v", short(again), err)
	}
	if _, err := y.Stop(t.Context(), "web:nope"); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("stop what is not there: %v", err)
	}
}

func TestABuildThatTakesTooLongIsTimedOut(t *testing.T) {
	t.Parallel()
	var old atomic.Bool
	old.Store(true) // The server has run for as long.
	y := setup(t, func(c *builder.Config) {
		c.Now = func() time.Time {
			if old.CompareAndSwap(true, false) {
				return time.Now().Add(-9 * time.Hour)
			}
			return time.Now()
		}
	})
	d := definition("web", "echo running; exec sleep 1000")
	d.Limit = 1
	y.create(d)
	running := y.start(builder.StartRequest{Project: "web"})
	y.says(running, "running")
	old.Store(true) // The next one is old when it is looked at.
	waiting := y.start(builder.StartRequest{Project: "web"})
	if b := y.ended(waiting.ID); b.Status != project.TimedOut || !strings.Contains(b.Message, "queuedTimeoutInMinutes") {
		t.Errorf("ended %s", short(b))
	}
}

// TestWhileNoServerRunsABuildDoesNotWait has a server be away for longer than a
// build may wait.
func TestWhileNoServerRunsABuildDoesNotWait(t *testing.T) {
	t.Parallel()
	var away atomic.Int64
	y := setup(t, func(c *builder.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(away.Load())) }
	})
	d := definition("web", "echo running; exec sleep 1000")
	d.Limit = 1
	y.create(d)
	running := y.start(builder.StartRequest{Project: "web"})
	waiting := y.start(builder.StartRequest{Project: "web", Change: func(d *project.Definition) {
		d.Source.Buildspec = definition("web", "echo over").Source.Buildspec
	}})
	y.says(running, "running")
	if err := y.Shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	away.Store(int64(9 * time.Hour))
	y.restart()
	if _, err := y.Stop(t.Context(), running.ID); err != nil {
		t.Fatal(err)
	}
	if b := y.ended(waiting.ID); b.Status != project.Succeeded {
		t.Errorf("the one that waited: %s", short(b))
	}
}

// short is a build in a line.
func short(b project.Build) string {
	return fmt.Sprintf("%s #%d %s %s %v: %s", b.ID, b.Number, b.Status, b.Phase, names(b), b.Message)
}

// TestABuildIsTakenUpAgain has a server end between the start of a build and its
// end, and another one take its place.
func TestABuildIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	y := setup(t)
	const ticks = 40
	d := definition("web", "echo begun", fmt.Sprintf("for i in $(seq 1 %d); do echo tick $i; sleep 0.1; done", ticks), "echo over")
	d.Limit = 1
	y.create(d)
	running := y.start(builder.StartRequest{Project: "web"})
	waiting := y.start(builder.StartRequest{Project: "web"})
	y.says(running, "tick 2")
	y.restart()
	if b := y.build(running.ID); b.Done() || b.Phase != project.PhaseBuild {
		t.Errorf("taken up: %s", short(b))
	}
	b := y.ended(running.ID)
	if b.Status != project.Succeeded {
		t.Fatalf("ended %s\n%s", short(b), y.log(b))
	}
	log := y.log(b)
	for i := 1; i <= ticks; i++ {
		if strings.Count(log, fmt.Sprintf(" tick %d\n", i)) != 1 {
			t.Errorf("line %d is not there once", i)
		}
	}
	if strings.Count(log, "Z begun\n") != 1 {
		t.Errorf("the build has begun again:\n%s", log)
	}
	if b := y.ended(waiting.ID); b.Status != project.Succeeded {
		t.Errorf("the one that waited: %s", short(b))
	}
}

// TestAStopThatACrashInterruptsIsCarriedOut stops a build in the record only.
func TestAStopThatACrashInterruptsIsCarriedOut(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.create(definition("web", "echo running; exec sleep 1000"))
	b := y.start(builder.StartRequest{Project: "web"})
	y.says(b, "running")
	if err := y.Shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Stop(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	y.restart()
	if b := y.ended(b.ID); b.Status != project.Stopped {
		t.Errorf("ended %s", short(b))
	}
}

func TestABuildIsDoneAgain(t *testing.T) {
	t.Parallel()
	y := setup(t)
	d := definition("web", "exit 1")
	d.AutoRetry = 1
	y.create(d)
	first := y.start(builder.StartRequest{Project: "web", Version: "main", Token: "one", Digest: "a"})
	if again := y.start(builder.StartRequest{Project: "web", Version: "main", Token: "one", Digest: "a"}); again.ID != first.ID {
		t.Errorf("one token has started %s and %s", first.ID, again.ID)
	}
	if _, err := y.Start(t.Context(), builder.StartRequest{Project: "web", Token: "one", Digest: "b"}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("another request with the token: %v", err)
	}
	y.ended(first.ID)
	second := y.ended(y.doneAgain(first).ID)
	if second.RetryOf != first.ID || second.Retries != 1 || second.Version != "resolved main" {
		t.Errorf("done again by itself: %s", short(second))
	}
	third, err := y.Retry(t.Context(), second.ID, builder.StartRequest{Initiator: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if third = y.ended(third.ID); third.Number != 3 || third.RetryOf != second.ID || third.Initiator != "me" {
		t.Errorf("done again: %s", short(third))
	}
	if _, err := y.Retry(t.Context(), "web:nope", builder.StartRequest{}); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
}

func TestAnActionOfAPipelineIsABuildOfItsProject(t *testing.T) {
	t.Parallel()
	y := setup(t)
	action := builder.PipelineAction{Builder: y.Builder}
	fetched, err := y.sources.Fetch(t.Context(), builder.Fetch{Source: project.Source{Location: "nothing"}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	y.sources.files["web"] = map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['echo \"$A $B $CODEBUILD_INITIATOR\"', 'echo x > x']}}\nartifacts: {files: [x]}\n"}
	source, err := y.sources.Fetch(t.Context(), builder.Fetch{Source: project.Source{Location: "web"}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	input := func(name string, f builder.Fetched) pipeline.Artifact {
		f.Artifact.Name = name
		return f.Artifact
	}
	job := func(configuration string) pipeline.Job {
		dir := filepath.Join(y.config.Dir, "work", "shop-1")
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		logFile := filepath.Join(y.config.Dir, "unit.log")
		log, err := y.config.OpenLog(logFile)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = log.Close() })
		return pipeline.Job{
			Pipeline: "shop", Execution: "shop-1", Number: 1, Stage: "Test", Attempt: 1, Action: pipeline.Action{Name: "unit", Outputs: []string{"out"}},
			Configuration: json.RawMessage(configuration), Inputs: []pipeline.Artifact{input("lib", fetched), input("web", source)},
			Dir: dir, Log: log, LogFile: logFile, Progress: func(string) {},
		}
	}
	const configuration = `{"ProjectName": "web", "PrimarySource": "web", "EnvironmentVariables": "[{\"name\": \"B\", \"value\": \"two\"}]"}`
	missing, err := action.Run(t.Context(), job(configuration))
	if err != nil || missing.Outcome != pipeline.Failed || !strings.Contains(missing.Message, "aws codebuild create-project") {
		t.Errorf("without a project: %+v %v", missing, err)
	}
	d := definition("web")
	d.Source = project.Source{Type: project.SourcePipeline}
	d.Artifacts = project.Artifacts{Type: project.ArtifactsPipeline}
	d.Environment.Variables = []project.Variable{{Name: "A", Value: "one"}, {Name: "B", Value: "one"}}
	y.create(d)
	for range 2 { // the second time the server has died before the outcome was recorded
		result, err := action.Run(t.Context(), job(configuration))
		if err != nil || result.Outcome != pipeline.Succeeded || len(result.Artifacts) != 1 || result.Artifacts[0].Name != "out" {
			t.Fatalf("ran %+v %v", result, err)
		}
	}
	all := y.list(builder.Filter{Project: "web", Limit: 9})
	if len(all) != 1 {
		t.Fatalf("%d builds: %+v", len(all), all)
	}
	b := all[0].Build
	if b.Status != project.Succeeded || b.Initiator != "codepipeline/shop" || b.Action.Execution != "shop-1" || !strings.Contains(y.log(b), " one two codepipeline/shop\n") {
		t.Errorf("the build: %s\n%s", short(b), y.log(b))
	}
	if _, err := y.Retry(t.Context(), b.ID, builder.StartRequest{}); !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "towline retry shop-1") {
		t.Errorf("a retry: %v", err)
	}
	if _, err := y.Start(t.Context(), builder.StartRequest{Project: "web"}); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("a start by itself: %v", err)
	}
}

func TestABuildThatHasEndedCanBeForgotten(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.create(definition("web", "echo running; exec sleep 1000"))
	b := y.start(builder.StartRequest{Project: "web"})
	y.says(b, "running")
	if err := y.DeleteBuild(t.Context(), b.ID); !errors.Is(err, project.ErrInvalid) {
		t.Errorf("while it runs: %v", err)
	}
	if _, err := y.Stop(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	y.ended(b.ID)
	if err := y.DeleteBuild(t.Context(), b.ID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(y.LogFile(b)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its log: %v", err)
	}
	if _, err := y.Build(t.Context(), b.ID); !errors.Is(err, project.ErrNotFound) {
		t.Errorf("its record: %v", err)
	}
}
