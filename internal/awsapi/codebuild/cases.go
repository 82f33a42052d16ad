package codebuild

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/reports"
)

// caseStatus is CodeBuild's word for how a test went. It has ERROR and UNKNOWN
// too, which are failures here.
func caseStatus(s pipeline.TestStatus) string {
	switch s {
	case pipeline.TestPassed:
		return "SUCCEEDED"
	case pipeline.TestSkipped:
		return "SKIPPED"
	}
	return "FAILED"
}

// whole is the report of an ARN, and all that it says.
func (s *service) whole(ctx context.Context, c wire.Call, arn string) (reports.Report, pipeline.Report, error) {
	id, err := reportID(c, arn)
	if err != nil {
		return reports.Report{}, pipeline.Report{}, err
	}
	return s.Reports.Whole(ctx, id)
}

// entry is an entry of a list that is sorted by its place in it.
type entry[T any] struct {
	key string
	of  T
}

func keyOf[T any](e entry[T]) string { return e.key }

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

// describeTestCases tells of all tests, those with a status, or with a word in
// their name or its prefix.
func (s *service) describeTestCases(ctx context.Context, c wire.Call, in testCasesInput) (*testCasesOutput, error) {
	report, whole, err := s.whole(ctx, c, in.ReportARN)
	if err != nil {
		return nil, err
	}
	var all []entry[pipeline.TestCase]
	for i, t := range whole.Cases {
		if in.Filter.Status != "" && in.Filter.Status != caseStatus(t.Status) || !strings.Contains(t.Name, in.Filter.Keyword) && !strings.Contains(t.Suite, in.Filter.Keyword) {
			continue
		}
		all = append(all, entry[pipeline.TestCase]{fmt.Sprintf("%09d", i), t})
	}
	page, next, err := inMemory(s, asked{wire.List(c.Operation, in.ReportARN, in.Filter.Status, in.Filter.Keyword), in.NextToken, size(in.Size), ascending}, all, keyOf)
	if err != nil {
		return nil, err
	}
	out := &testCasesOutput{TestCases: []document{}, NextToken: next}
	for _, t := range page {
		out.TestCases = append(out.TestCases, caseDocument(c, report, t.of))
	}
	return out, nil
}

func caseDocument(c wire.Call, r reports.Report, t pipeline.TestCase) document {
	doc := document{}
	doc.set("reportArn", c.ARN(reportPrefix+r.ID))
	doc.set("testSuiteName", t.Suite)
	doc.set("prefix", t.Suite)
	doc.set("name", t.Name)
	doc.set("status", caseStatus(t.Status))
	doc.set("durationInNanoSeconds", nanoseconds(t.Seconds))
	doc.set("message", t.Message)
	doc.at("expired", r.Created.Add(reportKept))
	return doc
}

type coveragesInput struct {
	ReportARN string   `json:"reportArn"`
	NextToken string   `json:"nextToken"`
	Size      int      `json:"maxResults"`
	SortOrder string   `json:"sortOrder"`
	SortBy    string   `json:"sortBy"`
	Min       *float64 `json:"minLineCoveragePercentage"`
	Max       *float64 `json:"maxLineCoveragePercentage"`
}

type coveragesOutput struct {
	CodeCoverages []document
	NextToken     string
}

// describeCodeCoverages tells of all files, or of those that are covered so far.
func (s *service) describeCodeCoverages(ctx context.Context, c wire.Call, in coveragesInput) (*coveragesOutput, error) {
	report, whole, err := s.whole(ctx, c, in.ReportARN)
	if err != nil {
		return nil, err
	}
	least, most := 0.0, 100.0
	replace(&least, in.Min)
	replace(&most, in.Max)
	var all []entry[pipeline.CoveredFile]
	for i, f := range whole.Files {
		percent := f.Percent()
		if percent < least || percent > most {
			continue
		}
		key := fmt.Sprintf("%s %09d", f.Path, i)
		if in.SortBy != "FILE_PATH" {
			key = fmt.Sprintf("%010.6f %s", percent, key)
		}
		all = append(all, entry[pipeline.CoveredFile]{key, f})
	}
	list := wire.List(c.Operation, in.ReportARN, in.SortOrder, in.SortBy, fmt.Sprint(least, most))
	page, next, err := inMemory(s, asked{list, in.NextToken, size(in.Size), in.SortOrder}, all, keyOf)
	if err != nil {
		return nil, err
	}
	out := &coveragesOutput{CodeCoverages: []document{}, NextToken: next}
	for _, f := range page {
		doc := coverageDocument(f.of.Coverage)
		doc.set("id", report.ID+":"+f.of.Path)
		doc.set("reportARN", c.ARN(reportPrefix+report.ID))
		doc.set("filePath", f.of.Path)
		doc.at("expired", report.Created.Add(reportKept))
		out.CodeCoverages = append(out.CodeCoverages, doc)
	}
	return out, nil
}

// coverageDocument is how much of some code was run.
func coverageDocument(of pipeline.Coverage) document {
	doc := document{}
	doc.set("lineCoveragePercentage", rounded(of.Percent()))
	doc.set("linesCovered", of.LinesCovered)
	doc.set("linesMissed", of.Lines-of.LinesCovered)
	doc.set("branchCoveragePercentage", rounded(branchPercent(of)))
	doc.set("branchesCovered", of.BranchesCovered)
	doc.set("branchesMissed", of.Branches-of.BranchesCovered)
	return doc
}

// branchPercent is the part of the branches that was taken, 0 to 100; 0 when
// there are none.
func branchPercent(of pipeline.Coverage) float64 {
	return (&pipeline.Coverage{Lines: of.Branches, LinesCovered: of.BranchesCovered}).Percent()
}

// rounded has two digits behind the point.
func rounded(percent float64) float64 { return math.Round(percent*100) / 100 }
