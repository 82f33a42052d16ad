package codebuild_test

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/client"
)

func TestBatchesThroughTheAWSCommand(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.create("web", "good.yml")
	id := a.must("buildBatch.id", "start-build-batch", "--project-name", "web", "--buildspec-override", "bad.yml", "--build-timeout-in-minutes-override", "7",
		"--build-batch-config-override", "timeoutInMins=30,restrictions={maximumBuildsAllowed=5}")
	a.ended(id)
	arn := "arn:aws:codebuild:eu-west-1:123456789012:build-batch/" + id
	const (
		groups = "buildGroups[].[identifier,dependsOn,ignoreFailure,currentBuildSummary.buildStatus,length(priorBuildSummaryList)]"
		fields = "[arn,buildBatchNumber,buildBatchStatus,currentPhase,buildTimeoutInMinutes,buildBatchConfig.[timeoutInMins,restrictions.maximumBuildsAllowed],resolvedSourceVersion]"
	)
	a.is("a batch", a.must("buildBatches[0].["+fields+",phases[].[phaseType,phaseStatus],"+groups+"]", "batch-get-build-batches", "--ids", arn),
		`[["`+arn+`",1,"FAILED","FAILED",7,[30,5],"3f9c2e1"],`+
			`[["SUBMITTED","SUCCEEDED"],["DOWNLOAD_BATCHSPEC","SUCCEEDED"],["IN_PROGRESS","FAILED"],["FAILED","FAILED"]],`+
			`[["one",[],false,"SUCCEEDED",0],["two",["one"],true,"FAILED",0]]]`)
	two := a.must("buildBatches[0].buildGroups[1].currentBuildSummary.arn", "batch-get-build-batches", "--ids", id)
	a.is("one of its builds, and the batch, which is none", a.must("[builds[0].[buildBatchArn,buildNumber,buildStatus,logs.groupName],buildsNotFound]", "batch-get-builds", "--ids", two, id),
		`[["`+arn+`",2,"FAILED","/aws/codebuild/web"],["`+id+`"]]`)

	for _, again := range []struct{ kind, want string }{
		{"RETRY_FAILED_BUILDS", `[["one",[],false,"SUCCEEDED",0],["two",["one"],true,"FAILED",1]]`},
		{"RETRY_ALL_BUILDS", `[["one",[],false,"SUCCEEDED",1],["two",["one"],true,"FAILED",2]]`},
	} {
		a.must("buildBatch.id", "retry-build-batch", "--id", id, "--retry-type", again.kind, "--idempotency-token", again.kind)
		a.ended(id)
		a.is(again.kind, a.must("buildBatches[0]."+groups, "batch-get-build-batches", "--ids", id), again.want)
	}

	hanging := a.must("buildBatch.id", "start-build-batch", "--project-name", "web", "--buildspec-override", "hang.yml")
	if _, errs := a.run("delete-build-batch", "--id", hanging); !strings.Contains(errs, "(InvalidInputException)") {
		t.Errorf("a batch that runs is deleted: %s", errs)
	}
	a.must("buildBatch.id", "stop-build-batch", "--id", hanging)
	a.ended(hanging)
	a.is("those that were stopped", a.must("ids", "list-build-batches", "--filter", "status=STOPPED"), `["`+hanging+`"]`)
	a.is("those of a project, by pages", a.must("ids", "list-build-batches-for-project", "--project-name", "web", "--sort-order", "ASCENDING", "--page-size", "1"), `["`+id+`","`+hanging+`"]`)
	a.is("builds are listed by themselves", a.must("length(ids)", "list-builds"), "6")
	a.is("a deletion", a.must("[statusCode,length(buildsDeleted)]", "delete-build-batch", "--id", id), `["SUCCEEDED",5]`)
	a.is("what is left of it", a.must("buildBatchesNotFound", "batch-get-build-batches", "--ids", id), `["`+id+`"]`)
	for want, c := range map[string]struct {
		aws
		args []string
	}{
		"(AccessDeniedException) when calling the StartBuildBatch operation: User: arn:aws:iam::123456789012:user/" + keyID(client.Operator) + " is not authorized to perform: codebuild:StartBuildBatch with buildBatchConfigOverride": {
			a.as(client.Operator), []string{"start-build-batch", "--project-name", "web", "--build-batch-config-override", "timeoutInMins=30"}},
		"(InvalidInputException) when calling the StartBuildBatch operation: project web: buildBatchConfig": {a, []string{"start-build-batch", "--project-name", "web", "--build-batch-config-override", "timeoutInMins=3"}},
		"(InvalidInputException) when calling the StartBuildBatch operation: debugSession":                  {a, []string{"start-build-batch", "--project-name", "web", "--debug-session-enabled"}},
		"(ResourceNotFoundException) when calling the StopBuildBatch operation":                             {a, []string{"stop-build-batch", "--id", "web:nope"}},
	} {
		if _, errs := c.run(c.args...); !strings.Contains(errs, want) {
			t.Errorf("%v: %s, want %s", c.args, errs, want)
		}
	}
}
