package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/reports"
)

// groupPrefix begins the name of a report group in its ARN.
const groupPrefix = "report-group/"

// groupName is the name of the group that an ARN names.
func groupName(c wire.Call, arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, c.ARN(groupPrefix))
	if !ok {
		return "", &project.Error{Kind: project.ErrNotFound, Message: "There is no report group with the ARN " + arn + "."}
	}
	return name, nil
}

// group is the group that an ARN names.
func (s *service) group(ctx context.Context, c wire.Call, arn string) (reports.Group, error) {
	name, err := groupName(c, arn)
	if err != nil {
		return reports.Group{}, err
	}
	return s.Groups.Group(ctx, name)
}

type groupInput struct {
	ARN    string          `json:"arn"`
	Name   string          `json:"name"`
	Type   reports.Kind    `json:"type"`
	Export json.RawMessage `json:"exportConfig"`
	Tags   []project.Tag   `json:"tags"`
	Delete bool            `json:"deleteReports"`
}

type groupOutput struct{ ReportGroup document }

// grouped answers with a group.
func grouped(c wire.Call, g reports.Group, err error) (*groupOutput, error) {
	if err != nil {
		return nil, err
	}
	return &groupOutput{groupDocument(c, g)}, nil
}

func groupDocument(c wire.Call, g reports.Group) document {
	doc := document{}
	doc.set("arn", c.ARN(groupPrefix+g.Name))
	doc.set("name", g.Name)
	doc.set("type", g.Kind)
	doc.set("status", "ACTIVE")
	doc.set("exportConfig", map[string]string{"exportConfigType": "NO_EXPORT"})
	if g.Export != nil {
		doc["exportConfig"] = g.Export
	}
	doc.set("tags", append([]project.Tag{}, g.Tags...))
	doc.at("created", g.Created)
	doc.at("lastModified", g.Updated)
	return doc
}

func (s *service) createReportGroup(ctx context.Context, c wire.Call, in groupInput) (*groupOutput, error) {
	g, err := s.Groups.CreateGroup(ctx, reports.Group{Name: in.Name, Kind: in.Type, Export: in.Export, Tags: in.Tags})
	return grouped(c, g, err)
}

func (s *service) updateReportGroup(ctx context.Context, c wire.Call, in groupInput) (*groupOutput, error) {
	name, err := groupName(c, in.ARN)
	if err != nil {
		return nil, err
	}
	g, err := s.Groups.UpdateGroup(ctx, name, in.Export, in.Tags)
	return grouped(c, g, err)
}

// deleteReportGroup is content with a group that is gone already, as AWS is.
func (s *service) deleteReportGroup(ctx context.Context, c wire.Call, in groupInput) (*nothing, error) {
	name, err := groupName(c, in.ARN)
	if err == nil {
		err = s.Groups.DeleteGroup(ctx, name, in.Delete)
	}
	if errors.Is(err, project.ErrNotFound) {
		err = nil
	}
	return &nothing{}, err
}

type groupARNsInput struct {
	ARNs []string `json:"reportGroupArns"`
}

type groupDocuments struct {
	ReportGroups         []document
	ReportGroupsNotFound []string
}

func (s *service) batchGetReportGroups(ctx context.Context, c wire.Call, in groupARNsInput) (*groupDocuments, error) {
	found, missing, err := documents(in.ARNs, func(arn string) (document, error) {
		g, err := s.group(ctx, c, arn)
		return groupDocument(c, g), err
	})
	return &groupDocuments{found, missing}, err
}

type listGroupsInput struct {
	SortOrder string `json:"sortOrder"`
	SortBy    string `json:"sortBy"`
	NextToken string `json:"nextToken"`
	Size      int    `json:"maxResults"`
}

type groupsOutput struct {
	ReportGroups []string
	NextToken    string
}

func (s *service) listReportGroups(ctx context.Context, c wire.Call, in listGroupsInput) (*groupsOutput, error) {
	all, err := s.Groups.Groups(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := inMemory(s, asked{wire.List(c.Operation, in.SortOrder, in.SortBy), in.NextToken, size(in.Size), in.SortOrder}, all, func(g reports.Group) string {
		return byTime(in.SortBy, g.Name, g.Created, g.Updated)
	})
	if err != nil {
		return nil, err
	}
	out := &groupsOutput{ReportGroups: []string{}, NextToken: next}
	for _, g := range page {
		out.ReportGroups = append(out.ReportGroups, c.ARN(groupPrefix+g.Name))
	}
	return out, nil
}

// byTime is the key that a list is sorted by: a name, with an instant before it
// when it is that which counts.
func byTime(sortBy, name string, created, updated time.Time) string {
	switch sortBy {
	case "CREATED_TIME":
		return created.UTC().Format(time.RFC3339) + " " + name
	case "LAST_MODIFIED_TIME":
		return updated.UTC().Format(time.RFC3339) + " " + name
	}
	return name
}
