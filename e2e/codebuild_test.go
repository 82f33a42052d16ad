package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/waittest"
)

// awsCommand is AWS's own command, signing with an access key of the server's.
type awsCommand struct {
	s    *towline
	path string
	env  []string
}

func (s *towline) aws(role string) awsCommand {
	s.t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		s.t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	out, talk, code := s.run("accesskey", "create", "--role", role, "-o", "json")
	var key struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(out), &key); err != nil || code != 0 {
		s.t.Fatalf("make an access key: %v\n%s", err, talk)
	}
	return awsCommand{s, path, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.t.TempDir(), "AWS_ACCESS_KEY_ID=" + key.ID, "AWS_SECRET_ACCESS_KEY=" + key.Secret,
		"AWS_DEFAULT_REGION=eu-west-1", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	}}
}

// run calls the aws command and returns what it printed.
func (c awsCommand) run(args ...string) (stdout, stderr string, code int) {
	c.s.t.Helper()
	cmd := exec.CommandContext(c.s.t.Context(), c.path, append([]string{"--endpoint-url", "http://" + c.s.listen, "--output", "json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.s.t.Fatal(err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

// must is run for a call that has to succeed. A query chooses of its answer.
func (c awsCommand) must(query string, args ...string) string {
	c.s.t.Helper()
	out, errs, code := c.run(append(args, "--query", query)...)
	if code != 0 {
		c.s.t.Fatalf("aws %s: exit code %d\n%s", strings.Join(args, " "), code, errs)
	}
	return strings.Trim(out, `"`)
}

// ended waits for the end of a build and returns its status.
func (c awsCommand) ended(id string) (status string) {
	c.s.t.Helper()
	waittest.Until(c.s.t, "build "+id+" ends", func() bool {
		status = c.must("builds[0].buildStatus", "codebuild", "batch-get-builds", "--ids", id)
		return status != "IN_PROGRESS"
	})
	return status
}

// messages are the lines of a build's log.
func (c awsCommand) messages(id string) string {
	c.s.t.Helper()
	project, stream, _ := strings.Cut(id, ":")
	out := c.must("events[].message", "logs", "filter-log-events", "--log-group-name", "/aws/codebuild/"+project, "--log-stream-names", stream)
	var lines []string
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		c.s.t.Fatal(err, out)
	}
	return strings.Join(lines, "\n") + "\n"
}

// project writes a project's file, in the form of create-project.
func project(t *testing.T, name, source string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".json")
	text := fmt.Sprintf(`{"name": %q, "source": %s, "artifacts": {"type": "NO_ARTIFACTS"}, "serviceRole": "arn:aws:iam::123456789012:role/build",
		"environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
			"environmentVariables": [{"name": "GREETING", "value": "hello"}]}}`, name, source)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const slowSpec = `version: 0.2
env: {exported-variables: [MADE]}
phases:
  install: {commands: ['echo "$GREETING from $CODEBUILD_RESOLVED_SOURCE_VERSION"']}
  build:
    commands:
      - for i in $(seq 1 60); do echo tick $i; sleep 0.1; done
      - MADE=it
`

// TestTheAWSCommandBuildsAProject goes from a project's creation through a build
// of a repository, its log, a failure, a stop and a deletion. It needs no
// cluster.
func TestTheAWSCommandBuildsAProject(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.repository("shop", map[string]string{"buildspec.yml": strings.ReplaceAll(slowSpec, "seq 1 60", "seq 1 3"), "fail.yml": "version: 0.2\nphases: {build: {commands: ['echo so it goes; exit 3']}}\n"})
	c.git("-C", c.dir, "add", "-A")
	c.git("-C", c.dir, "commit", "-q", "-m", "First")
	c.git("-C", c.dir, "push", "-q", "origin", "main")
	commit := strings.TrimSpace(c.git("-C", c.dir, "rev-parse", "HEAD"))
	aws := s.aws("admin")
	arn := aws.must("project.arn", "codebuild", "create-project", "--cli-input-json", "file://"+project(t, "shop", `{"type": "GITHUB", "location": "shop"}`))
	if want := "arn:aws:codebuild:eu-west-1:000000000000:project/shop"; arn != want {
		t.Errorf("arn %s, want %s", arn, want)
	}
	id := aws.must("build.id", "codebuild", "start-build", "--project-name", "shop", "--environment-variables-override", "name=GREETING,value=bonjour")
	if status := aws.ended(id); status != "SUCCEEDED" {
		t.Fatalf("%s\n%s", status, aws.messages(id))
	}
	log := aws.messages(id)
	for _, line := range []string{"bonjour from " + commit, "tick 3"} {
		if !strings.Contains(log, line+"\n") {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
	build := aws.must("builds[0].[resolvedSourceVersion,exportedEnvironmentVariables[0].value,currentPhase,buildNumber,join(' ',phases[].phaseType)]", "codebuild", "batch-get-builds", "--ids", id)
	if want := `["` + commit + `","it","COMPLETED",1,"SUBMITTEDQUEUEDPROVISIONINGDOWNLOAD_SOURCEINSTALLBUILDUPLOAD_ARTIFACTSFINALIZINGCOMPLETED"]`; strings.Join(strings.Fields(build), "") != want {
		t.Errorf("the build: %s\nwant %s", build, want)
	}

	failing := aws.must("build.id", "codebuild", "start-build", "--project-name", "shop", "--buildspec-override", "fail.yml")
	if status := aws.ended(failing); status != "FAILED" {
		t.Errorf("a build that fails is %s", status)
	}
	if context := aws.must("builds[0].phases[?phaseStatus=='FAILED'] | [0].contexts[0].statusCode", "codebuild", "batch-get-builds", "--ids", failing); context != "COMMAND_EXECUTION_ERROR" {
		t.Errorf("why it failed: %s", context)
	}

	stopped := aws.must("build.id", "codebuild", "start-build", "--project-name", "shop", "--buildspec-override", "version: 0.2\nphases: {build: {commands: [sleep 1000]}}\n")
	aws.must("build.id", "codebuild", "stop-build", "--id", stopped)
	if status := aws.ended(stopped); status != "STOPPED" {
		t.Errorf("a build that was stopped is %s", status)
	}
	if ids := aws.must("ids", "codebuild", "list-builds-for-project", "--project-name", "shop"); strings.Join(strings.Fields(ids), "") != fmt.Sprintf("[%q,%q,%q]", stopped, failing, id) {
		t.Errorf("builds %s", ids)
	}
	out, talk, code := s.run("project", "builds", "shop")
	if code != 0 || !strings.Contains(out, failing) {
		t.Errorf("towline project builds: %d\n%s%s", code, out, talk)
	}
	if out, talk, code := s.run("project", "start", "shop", "--env", "GREETING=ciao"); code != 0 || !strings.Contains(out, "SUCCEEDED") || !strings.Contains(talk, "ciao from "+commit) {
		t.Errorf("towline project start: %d\n%s%s", code, out, talk)
	}
	aws.must("@", "codebuild", "delete-project", "--name", "shop")
	if _, errs, code := aws.run("codebuild", "start-build", "--project-name", "shop"); code == 0 || !strings.Contains(errs, "(ResourceNotFoundException)") {
		t.Errorf("a build of what is gone: %d %s", code, errs)
	}
}

// TestTheAWSCommandBuildsABatch has a graph of real builds, one of which fails
// until it is run again.
func TestTheAWSCommandBuildsABatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.repository("shop", map[string]string{"buildspec.yml": `version: 0.2
batch:
  build-graph:
    - {identifier: app}
    - {identifier: test, depend-on: [app]}
phases:
  build:
    commands:
      - echo "$CODEBUILD_BATCH_BUILD_IDENTIFIER in $CODEBUILD_BUILD_ID"
      - 'if [ "$CODEBUILD_BATCH_BUILD_IDENTIFIER" = test ]; then cat "$CODEBUILD_SRC_DIR_app/made.txt"; test -z "$BROKEN"; fi'
      - echo of the app > made.txt
artifacts: {files: made.txt}
`})
	c.git("-C", c.dir, "add", "-A")
	c.git("-C", c.dir, "commit", "-q", "-m", "First")
	c.git("-C", c.dir, "push", "-q", "origin", "main")
	aws := s.aws("admin")
	aws.must("project.arn", "codebuild", "create-project", "--cli-input-json", "file://"+project(t, "shop", `{"type": "GITHUB", "location": "shop"}`))
	run := func(args ...string) (id, status string) {
		id = aws.must("buildBatch.id", append([]string{"codebuild"}, args...)...)
		waittest.Until(t, "batch "+id+" ends", func() bool {
			status = aws.must("buildBatches[0].buildBatchStatus", "codebuild", "batch-get-build-batches", "--ids", id)
			return status != "IN_PROGRESS"
		})
		return id, status
	}
	summary := func(id, group string) string {
		return aws.must("buildBatches[0].buildGroups[?identifier=='"+group+"'] | [0].currentBuildSummary.arn", "codebuild", "batch-get-build-batches", "--ids", id)
	}
	id, status := run("start-build-batch", "--project-name", "shop")
	if status != "SUCCEEDED" {
		t.Fatalf("%s\n%s", status, aws.messages(id))
	}
	_, test, _ := strings.Cut(summary(id, "test"), ":build/")
	if log := aws.messages(test); !strings.Contains(log, "test in "+test+"\n") || !strings.Contains(log, "\nof the app\n") {
		t.Errorf("the log of the build that depends on another:\n%s", log)
	}
	broken, status := run("start-build-batch", "--project-name", "shop", "--environment-variables-override", "name=BROKEN,value=1")
	if status != "FAILED" {
		t.Errorf("a batch with a build that fails is %s", status)
	}
	app, test := summary(broken, "app"), summary(broken, "test")
	if _, status := run("retry-build-batch", "--id", broken, "--retry-type", "RETRY_FAILED_BUILDS"); status != "FAILED" {
		t.Errorf("run again it is %s", status)
	}
	if summary(broken, "app") != app || summary(broken, "test") == test {
		t.Error("not just what had failed was run again")
	}
	if out, talk, code := s.run("project", "start", "shop", "--batch"); code != 0 || !strings.Contains(out, "SUCCEEDED") || !strings.Contains(talk, "build test: SUCCEEDED") {
		t.Errorf("towline project start --batch: %d\n%s%s", code, out, talk)
	}
	if ids := aws.must("ids[1:]", "codebuild", "list-build-batches-for-project", "--project-name", "shop"); strings.Join(strings.Fields(ids), "") != fmt.Sprintf("[%q,%q]", broken, id) {
		t.Errorf("batches %s", ids)
	}
}

// TestABuildOfAProjectOutlivesTheServer kills the server between a build's start
// and its end, as often as it can.
func TestABuildOfAProjectOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	aws := s.aws("admin")
	spec, err := json.Marshal(slowSpec)
	if err != nil {
		t.Fatal(err)
	}
	aws.must("project.name", "codebuild", "create-project", "--cli-input-json", "file://"+project(t, "slow", `{"type": "NO_SOURCE", "buildspec": `+string(spec)+`}`))
	var ids []string
	for range 3 {
		ids = append(ids, aws.must("build.id", "codebuild", "start-build", "--project-name", "slow"))
	}
	// The logs are read as files: the aws command takes its time, and the builds
	// are to be running when the server is killed.
	ticks := func() (n int) {
		for _, id := range ids {
			name, build, _ := strings.Cut(id, ":")
			log, err := os.ReadFile(filepath.Join(s.data, "projects", "logs", name, build+".log"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			n += strings.Count(string(log), " tick ")
		}
		return n
	}
	for range 2 {
		before := ticks()
		s.kill(syscall.SIGKILL)
		s.up()
		waittest.Until(t, "the builds go on", func() bool { n := ticks(); return n > before || n == 60*len(ids) })
	}
	for _, id := range ids {
		if status := aws.ended(id); status != "SUCCEEDED" {
			t.Errorf("build %s is %s\n%s", id, status, aws.messages(id))
		}
		log := aws.messages(id)
		for i := 1; i <= 60; i++ {
			if n := strings.Count(log, fmt.Sprintf("\ntick %d\n", i)); n != 1 {
				t.Errorf("build %s: line %d is there %d times:\n%s", id, i, n, log)
				break
			}
		}
	}
}

// TestAPipelineBuildsAProject has the action CodeBuild of a pipeline that the aws
// command has made, first without its project.
func TestAPipelineBuildsAProject(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.repository("shop", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['echo \"by $CODEBUILD_INITIATOR\"']}}\n"})
	c.git("-C", c.dir, "add", "-A")
	c.git("-C", c.dir, "commit", "-q", "-m", "First")
	c.git("-C", c.dir, "push", "-q", "origin", "main")
	aws := s.aws("admin")
	aws.must("pipeline.name", "codepipeline", "create-pipeline", "--pipeline", `{"name": "shop", "roleArn": "arn:aws:iam::123456789012:role/p", "artifactStore": {"type": "S3", "location": "artifacts"}, "pipelineType": "V2", "stages": [
		{"name": "Source", "actions": [{"name": "push", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}, "configuration": {"RepositoryName": "shop", "BranchName": "main"}, "outputArtifacts": [{"name": "source"}]}]},
		{"name": "Test", "actions": [{"name": "unit", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"}, "configuration": {"ProjectName": "shop-tests"}, "inputArtifacts": [{"name": "source"}]}]}]}`)
	first := s.await(aws.must("pipelineExecutionId", "codepipeline", "start-pipeline-execution", "--name", "shop"))
	if unit := action(t, first, "unit"); unit.Result == nil || !strings.Contains(unit.Result.Message, "towline project put") {
		t.Errorf("without its project: %s", describe(first))
	}
	file := project(t, "shop-tests", `{"type": "CODEPIPELINE"}`)
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("NO_ARTIFACTS"), []byte("CODEPIPELINE"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, talk, code := s.run("project", "put", file); code != 0 {
		t.Fatalf("towline project put: %d\n%s%s", code, out, talk)
	}
	s.succeeded(s.await(aws.must("pipelineExecutionId", "codepipeline", "start-pipeline-execution", "--name", "shop")))
	id := aws.must("ids[0]", "codebuild", "list-builds-for-project", "--project-name", "shop-tests")
	if log := aws.messages(id); !strings.Contains(log, "by codepipeline/shop\n") {
		t.Errorf("the log of %s:\n%s", id, log)
	}
}
