package codebuild

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/reports"
)

// reportKept is how long AWS keeps a report. Here it is kept until there are
// many newer ones.
const reportKept = 30 * 24 * time.Hour

// reportPrefix begins the id of a report in its ARN.
const reportPrefix = "report/"

// reportID is the id of the report that an ARN names.
func reportID(c wire.Call, arn string) (string, error) {
	id, ok := strings.CutPrefix(arn, c.ARN(reportPrefix))
	if !ok {
		return "", &project.Error{Kind: project.ErrNotFound, Message: "There is no report with the ARN " + arn + "."}
	}
	return id, nil
}

// reportARNs are the names of reports.
func reportARNs(c wire.Call, ids []string) []string {
	arns := []string{}
	for _, id := range ids {
		arns = append(arns, c.ARN(reportPrefix+id))
	}
	return arns
}

type reportsInput struct {
	GroupARN  string `json:"reportGroupArn"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
	Size      int    `json:"maxResults"`
	Filter    struct {
		Status string `json:"status"`
	} `json:"filter"`
}

type reportsOutput struct {
	Reports   []string
	NextToken string
}

func (s *service) listReports(ctx context.Context, c wire.Call, in reportsInput) (*reportsOutput, error) {
	return s.reports(ctx, c, "", in)
}

func (s *service) listReportsForGroup(ctx context.Context, c wire.Call, in reportsInput) (*reportsOutput, error) {
	group, err := s.group(ctx, c, in.GroupARN)
	if err != nil {
		return nil, err
	}
	return s.reports(ctx, c, group.Name, in)
}

// reports lists the reports of a group, or of all.
func (s *service) reports(ctx context.Context, c wire.Call, group string, in reportsInput) (*reportsOutput, error) {
	page, next, err := inStore(s, asked{wire.List(c.Operation, group, in.SortOrder, in.Filter.Status), in.NextToken, size(in.Size), in.SortOrder}, func(after int64, limit int) ([]reports.Listed, error) {
		return s.Reports.Reports(ctx, reports.Filter{Group: group, Status: in.Filter.Status, Ascending: in.SortOrder == ascending, After: after, Limit: limit})
	}, func(r reports.Listed) int64 { return r.Place })
	if err != nil {
		return nil, err
	}
	out := &reportsOutput{Reports: []string{}, NextToken: next}
	for _, r := range page {
		out.Reports = append(out.Reports, c.ARN(reportPrefix+r.ID))
	}
	return out, nil
}

type reportARNsInput struct {
	ARNs []string `json:"reportArns"`
}

type reportDocuments struct {
	Reports         []document
	ReportsNotFound []string
}

func (s *service) batchGetReports(ctx context.Context, c wire.Call, in reportARNsInput) (*reportDocuments, error) {
	found, missing, err := documents(in.ARNs, func(arn string) (document, error) {
		id, err := reportID(c, arn)
		if err != nil {
			return nil, err
		}
		r, err := s.Reports.Report(ctx, id)
		return reportDocument(c, r), err
	})
	return &reportDocuments{found, missing}, err
}

func reportDocument(c wire.Call, r reports.Report) document {
	doc := document{}
	doc.set("arn", c.ARN(reportPrefix+r.ID))
	doc.set("type", r.Kind)
	doc.set("name", r.ID)
	doc.set("reportGroupArn", c.ARN(groupPrefix+r.Group))
	doc.set("executionId", c.ARN(buildPrefix+r.Build))
	doc.set("status", r.Status)
	doc.set("exportConfig", map[string]string{"exportConfigType": "NO_EXPORT"})
	doc.set("truncated", r.Truncated)
	if r.Coverage != nil {
		doc.set("codeCoverageSummary", coverageDocument(*r.Coverage))
	} else {
		doc.set("testSummary", summary(r))
	}
	doc.at("created", r.Created)
	doc.at("expired", r.Created.Add(reportKept))
	return doc
}

func summary(r reports.Report) document {
	doc := document{}
	doc.set("total", r.Passed+r.Failed+r.Skipped)
	doc.set("statusCounts", map[string]int{caseStatus(pipeline.TestPassed): r.Passed, caseStatus(pipeline.TestFailing): r.Failed, caseStatus(pipeline.TestSkipped): r.Skipped})
	doc.set("durationInNanoSeconds", nanoseconds(r.Seconds))
	return doc
}

func nanoseconds(seconds float64) int64 { return int64(seconds * float64(time.Second)) }

// deleteReport is content with a report that is gone already, as AWS is.
func (s *service) deleteReport(ctx context.Context, c wire.Call, in groupInput) (*nothing, error) {
	id, err := reportID(c, in.ARN)
	if err == nil {
		err = s.Reports.DeleteReport(ctx, id)
	}
	if errors.Is(err, project.ErrNotFound) {
		err = nil
	}
	return &nothing{}, err
}
