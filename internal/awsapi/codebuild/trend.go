package codebuild

import (
	"context"
	"slices"
	"strconv"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project/reports"
)

type trendInput struct {
	GroupARN string `json:"reportGroupArn"`
	Reports  int    `json:"numOfReports"`
	Field    string `json:"trendField"`
}

type trendOutput struct {
	Stats   trendStats
	RawData []trendDatum
}

type trendStats struct{ Average, Max, Min string }

type trendDatum struct{ ReportArn, Data string }

// getReportGroupTrend compares the newest reports of a group by one of their
// numbers.
func (s *service) getReportGroupTrend(ctx context.Context, c wire.Call, in trendInput) (*trendOutput, error) {
	group, err := s.group(ctx, c, in.GroupARN)
	if err != nil {
		return nil, err
	}
	all, err := s.Reports.Reports(ctx, reports.Filter{Group: group.Name, Limit: size(in.Reports)})
	if err != nil {
		return nil, err
	}
	out := &trendOutput{RawData: []trendDatum{}}
	var values []float64
	for _, r := range all {
		value, ok := trendValue(r.Report, in.Field)
		if !ok {
			continue
		}
		values = append(values, value)
		out.RawData = append(out.RawData, trendDatum{c.ARN(reportPrefix + r.ID), number(value)})
	}
	if len(values) == 0 {
		if len(all) > 0 {
			return nil, wire.Faultf("InvalidInputException", "The reports of group %s are of the type %s and have no %s.", group.Name, group.Kind, in.Field)
		}
		return out, nil
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	out.Stats = trendStats{number(sum / float64(len(values))), number(slices.Max(values)), number(slices.Min(values))}
	return out, nil
}

// trendValue is a number of a report, if it has it.
func trendValue(r reports.Report, field string) (float64, bool) {
	total := r.Passed + r.Failed + r.Skipped
	tests, covered := r.Coverage == nil, r.Coverage != nil
	switch field {
	case "TOTAL":
		return float64(total), tests
	case "DURATION":
		return float64(nanoseconds(r.Seconds)), tests
	case "PASS_RATE":
		return rounded(100 * float64(r.Passed) / float64(max(total, 1))), tests && total > 0
	}
	if !covered {
		return 0, false
	}
	switch field {
	case "LINE_COVERAGE":
		return rounded(r.Coverage.Percent()), true
	case "LINES_COVERED":
		return float64(r.Coverage.LinesCovered), true
	case "LINES_MISSED":
		return float64(r.Coverage.Lines - r.Coverage.LinesCovered), true
	case "BRANCH_COVERAGE":
		return rounded(branchPercent(*r.Coverage)), true
	case "BRANCHES_COVERED":
		return float64(r.Coverage.BranchesCovered), true
	case "BRANCHES_MISSED":
		return float64(r.Coverage.Branches - r.Coverage.BranchesCovered), true
	}
	return 0, false
}

// number is a value as CodeBuild writes it: a text.
func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
