package codebuild_test

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/pipeline"
)

// reports are what a build with bad.yml reports: tests, and coverage.
func reports() []pipeline.Report {
	covered := func(path string, lines, of int) pipeline.CoveredFile {
		return pipeline.CoveredFile{Path: path, Coverage: pipeline.Coverage{Lines: of, LinesCovered: lines, Branches: 4, BranchesCovered: 1}}
	}
	return []pipeline.Report{
		{Name: "unit", Format: "JUNITXML", Passed: 2, Failed: 1, Skipped: 1, Seconds: 1.5, Cases: []pipeline.TestCase{
			{Suite: "web", Name: "TestA", Status: pipeline.TestFailing, Seconds: 0.25, Message: "got 1"}, {Suite: "web", Name: "TestB", Status: pipeline.TestPassed, Seconds: 1.25},
			{Suite: "shop", Name: "TestC", Status: pipeline.TestPassed}, {Suite: "shop", Name: "TestD", Status: pipeline.TestSkipped},
		}},
		{Name: "lines", Format: "JACOCOXML", Coverage: &pipeline.Coverage{Lines: 20, LinesCovered: 15, Branches: 8, BranchesCovered: 2}, Files: []pipeline.CoveredFile{covered("a.go", 10, 10), covered("b.go", 5, 10)}},
	}
}

func TestReportsThroughTheAWSCommand(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.create("web", "bad.yml")
	id := a.must("build.id", "start-build", "--project-name", "web")
	a.ended(id)
	const prefix = "arn:aws:codebuild:eu-west-1:123456789012:report-group/"
	a.is("groups", a.must("reportGroups", "list-report-groups"), `["`+prefix+`web-lines","`+prefix+`web-unit"]`)
	a.is("the other way round, by pages", a.must("reportGroups", "list-report-groups", "--sort-order", "DESCENDING", "--sort-by", "NAME", "--max-results", "1"), `["`+prefix+`web-unit"]`)
	a.is("a group", a.must("[reportGroups[].[name,type,status],reportGroupsNotFound]", "batch-get-report-groups", "--report-group-arns", prefix+"web-unit", prefix+"nope"),
		`[[["web-unit","TEST","ACTIVE"]],["`+prefix+`nope"]]`)
	unit := a.must("reports[0]", "list-reports-for-report-group", "--report-group-arn", prefix+"web-unit")
	lines := a.must("reports[0]", "list-reports-for-report-group", "--report-group-arn", prefix+"web-lines")
	a.is("reports", a.must("reports", "list-reports"), `["`+lines+`","`+unit+`"]`)
	a.is("those that failed", a.must("reports", "list-reports", "--filter", "status=FAILED"), `["`+unit+`"]`)
	a.is("the build names them", a.must("builds[0].reportArns", "batch-get-builds", "--ids", id), `["`+unit+`","`+lines+`"]`)
	a.is("a report of tests", a.must("[reports[0].[type,status,truncated,testSummary.total,testSummary.statusCounts.FAILED,testSummary.durationInNanoSeconds],reportsNotFound]", "batch-get-reports", "--report-arns", unit, unit+"x"),
		`[["TEST","FAILED",false,4,1,1500000000],["`+unit+`x"]]`)
	a.is("a report of coverage", a.must("reports[0].[type,status,truncated,executionId,codeCoverageSummary.[lineCoveragePercentage,linesMissed,branchCoveragePercentage,branchesCovered]]", "batch-get-reports", "--report-arns", lines),
		`["CODE_COVERAGE","SUCCEEDED",false,"arn:aws:codebuild:eu-west-1:123456789012:build/`+id+`",[75,5,25,2]]`)

	cases := func(args ...string) string {
		return a.must("testCases[].[testSuiteName,prefix,name,status,durationInNanoSeconds,message]", append([]string{"describe-test-cases", "--report-arn", unit}, args...)...)
	}
	const first, rest = `["web","web","TestA","FAILED",250000000,"got1"]`, `["shop","shop","TestC","SUCCEEDED",0,null],["shop","shop","TestD","SKIPPED",0,null]`
	a.is("all test cases, page by page", cases("--page-size", "2"), `[`+first+`,["web","web","TestB","SUCCEEDED",1250000000,null],`+rest+`]`)
	a.is("those with a status", cases("--filter", "status=FAILED"), `[`+first+`]`)
	a.is("those with a word", cases("--filter", "keyword=shop"), `[`+rest+`]`)
	files := func(args ...string) string {
		return a.must("codeCoverages[].[filePath,lineCoveragePercentage,linesCovered,branchesMissed]", append([]string{"describe-code-coverages", "--report-arn", lines}, args...)...)
	}
	a.is("all files, the least covered first", files(), `[["b.go",50,5,3],["a.go",100,10,3]]`)
	a.is("by their paths", files("--sort-by", "FILE_PATH", "--sort-order", "DESCENDING"), `[["b.go",50,5,3],["a.go",100,10,3]]`)
	a.is("those that are covered so far", files("--min-line-coverage-percentage", "60"), `[["a.go",100,10,3]]`)

	a.ended(a.must("build.id", "start-build", "--project-name", "web"))
	a.is("a trend of tests", a.must("[stats.[average,max,min],length(rawData),rawData[1].[reportArn,data]]", "get-report-group-trend", "--report-group-arn", prefix+"web-unit", "--trend-field", "PASS_RATE"),
		`[["50","50","50"],2,["`+unit+`","50"]]`)
	a.is("a trend of coverage", a.must("[stats.average,length(rawData)]", "get-report-group-trend", "--report-group-arn", prefix+"web-lines", "--trend-field", "LINES_MISSED", "--num-of-reports", "1"), `["5",1]`)
	for want, args := range map[string][]string{
		"(ResourceNotFoundException) when calling the DescribeTestCases":         {"describe-test-cases", "--report-arn", prefix + "web-unit"},
		"(InvalidInputException) when calling the GetReportGroupTrend":           {"get-report-group-trend", "--report-group-arn", prefix + "web-unit", "--trend-field", "LINE_COVERAGE"},
		"(InvalidInputException) when calling the DeleteReportGroup":             {"delete-report-group", "--arn", prefix + "web-unit"},
		"(ResourceNotFoundException) when calling the ListReportsForReportGroup": {"list-reports-for-report-group", "--report-group-arn", prefix + "nope"},
	} {
		if _, errs := a.run(args...); !strings.Contains(errs, want) {
			t.Errorf("%v: %s, want %s", args, errs, want)
		}
	}
	a.must("@", "delete-report", "--arn", unit)
	a.must("@", "delete-report", "--arn", unit)
	a.is("a report that was deleted", a.must("reportsNotFound", "batch-get-reports", "--report-arns", unit), `["`+unit+`"]`)
	a.must("@", "delete-report-group", "--arn", prefix+"web-unit", "--delete-reports")
	a.is("what is left", a.must("length(reports)", "list-reports"), "2")
}

func TestReportGroupsAreMadeAndChanged(t *testing.T) {
	t.Parallel()
	a := setup(t)
	arn := a.must("reportGroup.arn", "create-report-group", "--name", "all-tests", "--type", "TEST", "--export-config", "exportConfigType=NO_EXPORT", "--tags", "key=team,value=shop")
	a.is("its name", arn, "arn:aws:codebuild:eu-west-1:123456789012:report-group/all-tests")
	a.is("a change", a.must("reportGroup.[exportConfig.exportConfigType,tags[0].value]", "update-report-group", "--arn", arn, "--tags", "key=team,value=web"), `["NO_EXPORT","web"]`)
	for want, c := range map[string]struct {
		aws
		args []string
	}{
		"(ResourceAlreadyExistsException)": {a, []string{"create-report-group", "--name", "all-tests", "--type", "TEST", "--export-config", "exportConfigType=NO_EXPORT"}},
		"(InvalidInputException)":          {a, []string{"create-report-group", "--name", "all tests", "--type", "TEST", "--export-config", "exportConfigType=NO_EXPORT"}},
		"(InvalidInputException) when calling the CreateReportGroup operation: report group kept: exportConfig.exportConfigType: reports are not exported to S3 here": {
			a, []string{"create-report-group", "--name", "kept", "--type", "TEST", "--export-config", "exportConfigType=S3,s3Destination={bucket=kept}"}},
		"(InvalidInputException) when calling the UpdateReportGroup operation: report group all-tests: exportConfig": {
			a, []string{"update-report-group", "--arn", arn, "--export-config", "exportConfigType=S3,s3Destination={bucket=kept}"}},
		"(ResourceNotFoundException)": {a, []string{"update-report-group", "--arn", arn + "x"}},
		"(AccessDeniedException)":     {a.as(client.Operator), []string{"delete-report-group", "--arn", arn}},
	} {
		if _, errs := c.run(c.args...); !strings.Contains(errs, want) {
			t.Errorf("%v: %s, want %s", c.args, errs, want)
		}
	}
	a.must("@", "delete-report-group", "--arn", arn)
	a.must("@", "delete-report-group", "--arn", arn)
	a.is("a group that was deleted", a.must("reportGroupsNotFound", "batch-get-report-groups", "--report-group-arns", arn), `["`+arn+`"]`)
}
