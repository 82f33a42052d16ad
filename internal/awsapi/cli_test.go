package awsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// awsCommand is AWS's own command, with nothing of the machine's settings.
type awsCommand struct {
	path, url, keyID, secret string
}

func (b bench) command(t *testing.T, keyID, secret string) awsCommand {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the aws command is missing: install Debian's package awscli, or pip's (scripts/deps test)")
	}
	return awsCommand{path, b.url, keyID, secret}
}

// run calls `aws codepipeline` and returns what it printed and its exit code.
func (c awsCommand) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.path, append([]string{"codepipeline", "--endpoint-url", c.url, "--region", "eu-west-1", "--output", "json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + c.keyID, "AWS_SECRET_ACCESS_KEY=" + c.secret,
		"AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

// must is run for a call that has to succeed. A query chooses of its answer.
func (c awsCommand) must(t *testing.T, query string, args ...string) string {
	t.Helper()
	out, errs, code := c.run(t, append(args, "--query", query)...)
	if code != 0 {
		t.Fatalf("aws codepipeline %s: exit code %d\n%s", strings.Join(args, " "), code, errs)
	}
	return out
}

func TestWhatTheAWSCommandIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold(t, "web")
	slow := setup(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
	large := filepath.Join(t.TempDir(), "large.json")
	text := strings.Replace(string(declaration("large")), `"pipelineType"`, `"unknown": "`+strings.Repeat("x", 3<<20)+`", "pipelineType"`, 1)
	// A member that the command does not know would not be sent.
	text = strings.Replace(text, `"unknown"`, `"version": 1, "roleArn"`, 1)
	if err := os.WriteFile(large, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	good, viewer := b.command(t, adminID, secretKey), b.command(t, viewerID, secretKey)
	for name, c := range map[string]struct {
		aws  awsCommand
		args []string
		want string // of what it prints: the result, or the error
		code int
	}{
		"a good key":      {viewer, []string{"list-pipelines", "--query", "pipelines[].[name,pipelineType,created]", "--output", "text"}, "web\tV2\t", 0},
		"a wrong secret":  {b.command(t, viewerID, "wrong"), []string{"list-pipelines"}, "(InvalidSignatureException) when calling the ListPipelines operation: The request signature we calculated does not match", 255},
		"an unknown key":  {b.command(t, "AKIANOBODYNOBODY2345", "x"), []string{"list-pipelines"}, "(UnrecognizedClientException) when calling the ListPipelines operation: The security token included in the request is invalid.", 255},
		"a skewed clock":  {slow.command(t, viewerID, secretKey), []string{"list-pipelines"}, "(InvalidSignatureException) when calling the ListPipelines operation: Signature not yet current: ", 255},
		"too weak a role": {viewer, []string{"delete-pipeline", "--name", "web"}, "(AccessDeniedException) when calling the DeletePipeline operation: User: arn:aws:iam::123456789012:user/" + viewerID + " is not authorized to perform: codepipeline:DeletePipeline", 255},
		"a body too large": {good, []string{"create-pipeline", "--pipeline", "file://" + large}, "(RequestEntityTooLargeException) when calling the CreatePipeline operation: The request is larger than 1048576 bytes.",
			255},
		"an operation that is not there": {good, []string{"poll-for-third-party-jobs", "--action-type-id", "category=Test,owner=ThirdParty,provider=p,version=1"},
			"(OperationNotImplementedException) when calling the PollForThirdPartyJobs operation: Towline does not implement PollForThirdPartyJobs: it has no third-party action types", 255},
		"a typed error":   {viewer, []string{"get-pipeline", "--name", "nope"}, "(PipelineNotFoundException) when calling the GetPipeline operation: Account '123456789012' does not have a pipeline with name 'nope'", 255},
		"what is missing": {good, []string{"update-pipeline", "--pipeline", `{"name":"web","roleArn":"none","stages":[]}`}, "(ValidationException) when calling the UpdatePipeline operation: 1 validation error detected: Value 'none' at 'pipeline.roleArn' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:aws", 255},
		"a declaration":   {viewer, []string{"get-pipeline", "--name", "web", "--query", "pipeline.stages[].name", "--output", "text"}, "Source\tBuild", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := c.aws.run(t, c.args...)
			// Older versions of the command end with 254 here.
			if !strings.Contains(out+errs, c.want) || (code == 0) != (c.code == 0) {
				t.Errorf("exit code %d\n%s\n%s\nwant %q in it", code, out, errs, c.want)
			}
			if strings.Contains(out+errs, secretKey) {
				t.Error("it prints the secret")
			}
		})
	}
}

// TestTheAWSCommandDrivesAPipeline goes from a start through approval, failure,
// retry, rollback and stop.
func TestTheAWSCommandDrivesAPipeline(t *testing.T) {
	t.Parallel()
	r := setupEngine(t)
	r.define(t, "web")
	aws := r.command(t, operatorID, secretKey)
	is := func(what, got, want string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	r.fail("production", true)
	is("the first start", aws.must(t, "pipelineExecutionId", "start-pipeline-execution", "--name", "web", "--variables", "name=Tag,value=v1", "--client-request-token", "one"), `"web-1"`)
	is("the same start again", aws.must(t, "pipelineExecutionId", "start-pipeline-execution", "--name", "web", "--variables", "name=Tag,value=v1", "--client-request-token", "one"), `"web-1"`)
	r.in(t, "web", "GoAhead", "web-1", types.StageExecutionStatusInProgress)
	token := strings.Trim(aws.must(t, "stageStates[2].actionStates[0].latestExecution.token", "get-pipeline-state", "--name", "web"), `"`)
	aws.must(t, "approvedAt", "put-approval-result", "--pipeline-name", "web", "--stage-name", "GoAhead", "--action-name", "ask", "--token", token, "--result", "summary=ship it,status=Approved")
	r.in(t, "web", "Deploy", "web-1", types.StageExecutionStatusFailed)
	is("the failure", aws.must(t, "stageStates[3].actionStates[0].latestExecution.errorDetails.message", "get-pipeline-state", "--name", "web"), `"production said no"`)
	r.fail("production", false)
	is("the retry", aws.must(t, "pipelineExecutionId", "retry-stage-execution", "--pipeline-name", "web", "--stage-name", "Deploy", "--pipeline-execution-id", "web-1", "--retry-mode", "FAILED_ACTIONS"), `"web-1"`)
	r.in(t, "web", "Deploy", "web-1", types.StageExecutionStatusSucceeded)
	is("the rollback", aws.must(t, "pipelineExecutionId", "rollback-stage", "--pipeline-name", "web", "--stage-name", "Deploy", "--target-pipeline-execution-id", "web-1"), `"web-2"`)
	r.in(t, "web", "Deploy", "web-2", types.StageExecutionStatusSucceeded)

	release := r.wait("unit")
	defer release()
	aws.must(t, "pipelineExecutionId", "start-pipeline-execution", "--name", "web")
	r.in(t, "web", "Test", "web-3", types.StageExecutionStatusInProgress)
	is("the stop", aws.must(t, "pipelineExecutionId", "stop-pipeline-execution", "--pipeline-name", "web", "--pipeline-execution-id", "web-3", "--abandon", "--reason", "lunch"), `"web-3"`)
	r.in(t, "web", "Test", "web-3", types.StageExecutionStatusStopped)
	var got [][]string
	out := aws.must(t, "pipelineExecutionSummaries[].[pipelineExecutionId,status,executionType,statusSummary]", "list-pipeline-executions", "--pipeline-name", "web", "--page-size", "1")
	if err := json.Unmarshal([]byte(strings.ReplaceAll(out, "null", `""`)), &got); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"web-3", "Stopped", "STANDARD", "lunch"}, {"web-2", "Succeeded", "ROLLBACK", ""}, {"web-1", "Succeeded", "STANDARD", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
	is("the runs", aws.must(t, "length(actionExecutionDetails)", "list-action-executions", "--pipeline-name", "web", "--filter", "pipelineExecutionId=web-1"), "5")
}

func TestTagsThroughTheAWSCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	aws := b.command(t, adminID, secretKey)
	file := filepath.Join(t.TempDir(), "web.json")
	if err := os.WriteFile(file, append(append([]byte(`{"pipeline": `), declaration("web")...), `, "tags": [{"key": "team", "value": "shop"}]}`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := aws.must(t, "pipeline.name", "create-pipeline", "--cli-input-json", "file://"+file); got != `"web"` {
		t.Errorf("created %s", got)
	}
	const arn = "arn:aws:codepipeline:eu-west-1:123456789012:web"
	if got := aws.must(t, "metadata.pipelineArn", "get-pipeline", "--name", "web"); got != `"`+arn+`"` {
		t.Errorf("arn %s", got)
	}
	aws.must(t, "@", "tag-resource", "--resource-arn", arn, "--tags", "key=env,value=prod")
	aws.must(t, "@", "untag-resource", "--resource-arn", arn, "--tag-keys", "team")
	if got := strings.Join(strings.Fields(aws.must(t, "tags", "list-tags-for-resource", "--resource-arn", arn)), ""); got != `[{"key":"env","value":"prod"}]` {
		t.Errorf("tags %s", got)
	}
	for want, args := range map[string][]string{
		"InvalidTagsException":       {"tag-resource", "--resource-arn", arn, "--tags", "key=aws:x,value=y"},
		"InvalidArnException":        {"list-tags-for-resource", "--resource-arn", "arn:aws:codepipeline:eu-west-1:210987654321:web"},
		"ResourceNotFoundException":  {"list-tags-for-resource", "--resource-arn", arn + "2"},
		"PipelineNameInUseException": {"create-pipeline", "--cli-input-json", "file://" + file},
	} {
		if _, errs, code := aws.run(t, args...); code == 0 || !strings.Contains(errs, "("+want+")") {
			t.Errorf("%v: exit code %d\n%s", args, code, errs)
		}
	}
}

// TestUnknownOperations are those that no client of AWS's would send.
func TestUnknownOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct{ target, body, code string }{
		"no operation":         {"", "{}", "UnknownOperationException"},
		"one of another API":   {"CodeBuild_20161006.ListProjects", "{}", "UnknownOperationException"},
		"one that is not":      {targetPrefix + "ListPipeline", "{}", "UnknownOperationException"},
		"no JSON":              {targetPrefix + "ListPipelines", "{", "SerializationException"},
		"no object":            {targetPrefix + "ListPipelines", "[]", "SerializationException"},
		"nothing":              {targetPrefix + "ListPipelines", "", "SerializationException"},
		"two objects":          {targetPrefix + "ListPipelines", "{}{}", "SerializationException"},
		"a number for a text":  {targetPrefix + "GetPipeline", `{"name": 7}`, "SerializationException"},
		"a text for a number":  {targetPrefix + "ListPipelines", `{"maxResults": "7"}`, "SerializationException"},
		"a fraction":           {targetPrefix + "ListPipelines", `{"maxResults": 7.5}`, "SerializationException"},
		"an object for a list": {targetPrefix + "UntagResource", `{"resourceArn": "arn:aws:codepipeline:r:123456789012:x", "tagKeys": {}}`, "SerializationException"},
		"null":                 {targetPrefix + "GetPipeline", `{"name": null}`, "ValidationException"},
		"unknown members":      {targetPrefix + "ListPipelines", `{"later": {"than": ["this"]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := signing{url: b.url, target: c.target, body: c.body, keyID: adminID, secret: secretKey, service: "codepipeline", region: "eu-west-1", at: time.Now(), header: http.Header{}}
			if status, code, message := s.send(t); code != c.code || (status == http.StatusOK) != (c.code == "") {
				t.Errorf("got %d %s %q, want %s", status, code, message, c.code)
			}
		})
	}
}
