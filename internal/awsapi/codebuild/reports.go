package codebuild

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
)

// reportKept is how long AWS keeps a report. Here it is kept as long as its
// build.
const reportKept = 30 * 24 * time.Hour

// The name of a project's report group is that of the project with this behind.
const groupSuffix = "-tests"

func groupARN(c wire.Call, name string) string { return c.ARN("report-group/" + name + groupSuffix) }

func reportARN(c wire.Call, b project.Build) string {
	return c.ARN("report/" + b.Project + groupSuffix + ":" + b.UUID())
}

// groupProject is the project of the report group that an ARN names.
func groupProject(c wire.Call, arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, c.ARN("report-group/"))
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, groupSuffix)
}

// reportBuild is the id of the build whose report an ARN names.
func reportBuild(c wire.Call, arn string) (string, bool) {
	rest, ok := strings.CutPrefix(arn, c.ARN("report/"))
	name, uuid, cut := strings.Cut(rest, ":")
	name, suffixed := strings.CutSuffix(name, groupSuffix)
	return name + ":" + uuid, ok && cut && suffixed
}

type reportsInput struct {
	GroupARN  string `json:"reportGroupArn"`
	SortOrder string `json:"sortOrder"`
	SortBy    string `json:"sortBy"`
	NextToken string `json:"nextToken"`
	Size      int    `json:"maxResults"`
	Filter    struct {
		Status string `json:"status"`
	} `json:"filter"`
}

// size is how many entries a page has: what was asked for, or the most.
func size(asked int) int {
	if asked < 1 || asked > pageSize {
		return pageSize
	}
	return asked
}

type groupsOutput struct {
	ReportGroups []string
	NextToken    string
}

// listReportGroups lists the groups of the projects that are there: of each one
// of whose builds has written reports.
func (s *service) listReportGroups(ctx context.Context, c wire.Call, in reportsInput) (*groupsOutput, error) {
	list := wire.List("ListReportGroups", in.SortOrder, in.SortBy)
	after, err := s.place(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	all, err := s.Projects.Projects(ctx)
	if err != nil {
		return nil, err
	}
	down := in.SortOrder == descending
	if down {
		slices.Reverse(all)
	}
	out, last := &groupsOutput{ReportGroups: []string{}}, ""
	for _, p := range all {
		name := p.Definition.Name
		if after != "" && (!down && name <= after || down && name >= after) {
			continue
		}
		tested, err := s.Builds.Builds(ctx, project.Filter{Project: name, Tested: true, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(tested) == 0 {
			continue
		}
		if len(out.ReportGroups) == size(in.Size) {
			out.NextToken = s.Pages.Next(list, last)
			break
		}
		out.ReportGroups, last = append(out.ReportGroups, groupARN(c, name)), name
	}
	return out, nil
}

type groupARNsInput struct {
	ARNs []string `json:"reportGroupArns"`
}

type groupDocuments struct {
	ReportGroups         []document
	ReportGroupsNotFound []string
}

func (s *service) batchGetReportGroups(ctx context.Context, c wire.Call, in groupARNsInput) (*groupDocuments, error) {
	out := &groupDocuments{ReportGroups: []document{}, ReportGroupsNotFound: []string{}}
	for _, arn := range in.ARNs {
		name, _ := groupProject(c, arn)
		p, err := s.Projects.Project(ctx, name)
		if errors.Is(err, project.ErrNotFound) {
			out.ReportGroupsNotFound = append(out.ReportGroupsNotFound, arn)
			continue
		}
		if err != nil {
			return nil, err
		}
		doc := document{}
		doc.set("arn", arn)
		doc.set("name", name+groupSuffix)
		doc.set("type", "TEST")
		doc.set("status", "ACTIVE")
		doc.set("exportConfig", map[string]string{"exportConfigType": "NO_EXPORT"})
		doc.at("created", p.Created)
		doc.at("lastModified", p.Updated)
		out.ReportGroups = append(out.ReportGroups, doc)
	}
	return out, nil
}

type reportsOutput struct {
	Reports   []string
	NextToken string
}

func (s *service) listReports(ctx context.Context, c wire.Call, in reportsInput) (*reportsOutput, error) {
	return s.reports(ctx, c, wire.List("ListReports", in.SortOrder, in.Filter.Status), "", in)
}

func (s *service) listReportsForGroup(ctx context.Context, c wire.Call, in reportsInput) (*reportsOutput, error) {
	name, ok := groupProject(c, in.GroupARN)
	if !ok {
		return nil, wire.Faultf("ResourceNotFoundException", "There is no report group with the ARN %s.", in.GroupARN)
	}
	if _, err := s.Projects.Project(ctx, name); err != nil {
		return nil, err
	}
	return s.reports(ctx, c, wire.List("ListReportsForReportGroup", in.GroupARN, in.SortOrder, in.Filter.Status), name, in)
}

// reports lists the reports of a project's builds, or of all. A page may have
// less than it could when the filter leaves some out.
func (s *service) reports(ctx context.Context, c wire.Call, list, name string, in reportsInput) (*reportsOutput, error) {
	found, next, err := s.page(ctx, list, in.NextToken, project.Filter{
		Project: name, Tested: true, Ascending: in.SortOrder == "ASCENDING", Limit: size(in.Size) + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &reportsOutput{Reports: []string{}, NextToken: next}
	for _, b := range found {
		if in.Filter.Status == "" || in.Filter.Status == reportStatus(b.Build) {
			out.Reports = append(out.Reports, reportARN(c, b.Build))
		}
	}
	return out, nil
}

func reportStatus(b project.Build) string {
	if b.Tests.Failed > 0 {
		return "FAILED"
	}
	return "SUCCEEDED"
}

type reportARNsInput struct {
	ARNs []string `json:"reportArns"`
}

type reportDocuments struct {
	Reports         []document
	ReportsNotFound []string
}

func (s *service) batchGetReports(ctx context.Context, c wire.Call, in reportARNsInput) (*reportDocuments, error) {
	out := &reportDocuments{Reports: []document{}, ReportsNotFound: []string{}}
	for _, arn := range in.ARNs {
		b, err := s.reported(ctx, c, arn)
		if errors.Is(err, project.ErrNotFound) {
			out.ReportsNotFound = append(out.ReportsNotFound, arn)
			continue
		}
		if err != nil {
			return nil, err
		}
		doc := document{}
		doc.set("arn", arn)
		doc.set("type", "TEST")
		doc.set("name", b.Project+groupSuffix+":"+b.UUID())
		doc.set("reportGroupArn", groupARN(c, b.Project))
		doc.set("executionId", c.ARN("build/"+b.ID))
		doc.set("status", reportStatus(b))
		doc.set("exportConfig", map[string]string{"exportConfigType": "NO_EXPORT"})
		doc.set("truncated", b.Tests.Failed > len(b.Tests.Failures))
		doc.set("testSummary", summary(*b.Tests))
		doc.at("created", b.Ended)
		doc.at("expired", b.Ended.Add(reportKept))
		out.Reports = append(out.Reports, doc)
	}
	return out, nil
}

func summary(t pipeline.TestReport) document {
	doc := document{}
	doc.set("total", t.Passed+t.Failed+t.Skipped)
	doc.set("statusCounts", map[string]int{"SUCCEEDED": t.Passed, "FAILED": t.Failed, "SKIPPED": t.Skipped})
	doc.set("durationInNanoSeconds", int64(t.Seconds*float64(time.Second)))
	return doc
}

// reported is the build whose report an ARN names. The error is of the kind
// project.ErrNotFound when there is none.
func (s *service) reported(ctx context.Context, c wire.Call, arn string) (project.Build, error) {
	id, ok := reportBuild(c, arn)
	if ok {
		b, err := s.Builds.Build(ctx, id)
		if err != nil || b.Tests != nil {
			return b, err
		}
	}
	return project.Build{}, &project.Error{Kind: project.ErrNotFound, Message: "There is no report with the ARN " + arn + "."}
}

type testCasesInput struct {
	ReportARN string `json:"reportArn"`
	NextToken string `json:"nextToken"`
	Size      int    `json:"maxResults"`
	Filter    struct {
		Status  string `json:"status"`
		Keyword string `json:"keyword"`
	} `json:"filter"`
}

type testCasesOutput struct {
	TestCases []document
	NextToken string
}

// describeTestCases describes the tests that failed: of the others a build keeps
// how many there were.
func (s *service) describeTestCases(ctx context.Context, c wire.Call, in testCasesInput) (*testCasesOutput, error) {
	list := wire.List("DescribeTestCases", in.ReportARN, in.Filter.Status, in.Filter.Keyword)
	place, err := s.place(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	b, err := s.reported(ctx, c, in.ReportARN)
	if err != nil {
		return nil, err
	}
	from, _ := strconv.Atoi(place)
	out := &testCasesOutput{TestCases: []document{}}
	for i, t := range b.Tests.Failures {
		switch {
		case i < from || in.Filter.Status != "" && in.Filter.Status != "FAILED":
			continue
		case in.Filter.Keyword != "" && !strings.Contains(t.Suite+" "+t.Name, in.Filter.Keyword):
			continue
		}
		if len(out.TestCases) == size(in.Size) {
			out.NextToken = s.Pages.Next(list, strconv.Itoa(i))
			break
		}
		doc := document{}
		doc.set("reportArn", in.ReportARN)
		doc.set("testSuiteName", t.Suite)
		doc.set("prefix", t.Suite)
		doc.set("name", t.Name)
		doc.set("status", "FAILED")
		doc.set("message", t.Message)
		doc.at("expired", b.Ended.Add(reportKept))
		out.TestCases = append(out.TestCases, doc)
	}
	return out, nil
}
