package codebuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
)

// buildID is the id in the ARN of a build, or what was given.
func buildID(given string) string {
	if strings.HasPrefix(given, "arn:") {
		_, id, _ := strings.Cut(given, ":build/")
		return id
	}
	return given
}

// LogGroup is the name of the log group of a project.
func LogGroup(name string) string { return "/aws/codebuild/" + name }

// ofBuild is a definition without the members that a build of it has not, or
// has otherwise.
func ofBuild(c wire.Call, d project.Definition) (document, error) {
	doc, err := described(c, d)
	for _, name := range []string{"name", "description", "artifacts", "secondaryArtifacts", "concurrentBuildLimit", "sourceVersion", "tags", "logsConfig", "buildBatchConfig", "autoRetryLimit"} {
		delete(doc, name)
	}
	return doc, err
}

// build is the build of an id. The error is of the kind project.ErrNotFound when
// there is none, also when the id is that of a batch.
func (s *service) build(ctx context.Context, given string) (project.Build, error) {
	b, err := s.Builds.Build(ctx, buildID(given))
	if err == nil && b.Batch != nil {
		err = &project.Error{Kind: project.ErrNotFound, Message: fmt.Sprintf("there is no build %.300q: it is a batch of builds", given)}
	}
	return b, err
}

// buildDocument is a build in CodeBuild's form.
func buildDocument(c wire.Call, b project.Build) (document, error) {
	doc, err := ofBuild(c, b.Definition)
	if err != nil {
		return nil, err
	}
	doc.set("id", b.ID)
	doc.set("arn", c.ARN("build/"+b.ID))
	doc.set("buildNumber", b.Number)
	doc.set("projectName", b.Project)
	doc.at("startTime", b.Started)
	doc.at("endTime", b.Ended)
	doc.set("currentPhase", b.Phase)
	doc.set("buildStatus", b.Status)
	doc.set("buildComplete", b.Done())
	doc.set("initiator", b.Initiator)
	doc.set("sourceVersion", b.Version)
	doc.set("resolvedSourceVersion", b.Resolved)
	var phases []document
	for _, p := range b.Phases {
		phases = append(phases, phaseDocument(p))
	}
	doc.set("phases", phases)
	doc.set("artifacts", artifactsDocument(b.Definition.Artifacts, b.Delivered, ""))
	var further []document
	for _, a := range b.Definition.SecondaryArtifacts {
		further = append(further, artifactsDocument(a, b.Delivered, a.Identifier))
	}
	doc.set("secondaryArtifacts", further)
	doc.set("logs", logsDocument(c, b))
	doc.set("exportedEnvironmentVariables", exported(b.Exported))
	if len(b.Reports) > 0 {
		doc.set("reportArns", reportARNs(c, b.Reports))
	}
	if b.PartOf != "" {
		doc.set("buildBatchArn", c.ARN("build-batch/"+b.PartOf))
	}
	if b.Definition.AutoRetry > 0 {
		doc.set("autoRetryConfig", map[string]int{"autoRetryLimit": b.Definition.AutoRetry, "autoRetryNumber": b.Retries})
	}
	return doc, nil
}

func exported(values map[string]string) []map[string]string {
	all := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, map[string]string{"name": name, "value": values[name]})
	}
	return all
}

func phaseDocument(p project.Phase) document {
	doc := document{}
	doc.set("phaseType", p.Name)
	if p.Name == project.PhaseCompleted {
		doc.at("startTime", p.Started)
		return doc
	}
	doc.at("startTime", p.Started)
	if p.Ended.IsZero() {
		return doc
	}
	doc.set("phaseStatus", p.Status)
	doc.at("endTime", p.Ended)
	doc.set("durationInSeconds", int64(p.Ended.Sub(p.Started)/time.Second))
	if p.Status == project.Succeeded {
		doc.set("contexts", []map[string]string{{"statusCode": "", "message": ""}})
		return doc
	}
	doc.set("contexts", []map[string]string{{"statusCode": statusCode(p), "message": p.Message}})
	return doc
}

// statusCode is CodeBuild's word for why a phase did not succeed.
func statusCode(p project.Phase) string {
	switch p.Status {
	case project.TimedOut:
		return "BUILD_TIMED_OUT"
	case project.Stopped:
		return "BUILD_STOPPED"
	case project.Fault:
		return "INTERNAL_ERROR"
	}
	switch p.Name {
	case project.PhaseInstall, project.PhasePreBuild, project.PhaseBuild, project.PhasePostBuild:
		return "COMMAND_EXECUTION_ERROR"
	case project.PhaseSource:
		return "SOURCE_ERROR"
	}
	return "CLIENT_ERROR"
}

func artifactsDocument(a project.Artifacts, delivered []project.Delivered, identifier string) document {
	doc := document{}
	doc.set("artifactIdentifier", identifier)
	for _, d := range delivered {
		if d.Identifier == identifier {
			doc.set("location", "arn:aws:s3:::"+d.Location)
			doc.set("sha256sum", strings.TrimPrefix(d.Digest, "sha256:"))
		}
	}
	doc.set("overrideArtifactName", a.ByBuild)
	doc.set("encryptionDisabled", a.Plain)
	return doc
}

// logsDocument says where the log is, once there is one.
func logsDocument(c wire.Call, b project.Build) document {
	doc := document{}
	doc.set("cloudWatchLogs", map[string]string{"status": "ENABLED"})
	doc.set("s3Logs", map[string]string{"status": "DISABLED"})
	if b.Running.IsZero() {
		return doc
	}
	doc.set("groupName", LogGroup(b.Project))
	doc.set("streamName", b.UUID())
	doc.set("cloudWatchLogsArn", fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s:log-stream:%s", c.Region, c.Account, LogGroup(b.Project), b.UUID()))
	return doc
}

type idsInput struct {
	IDs []string `json:"ids"`
}

type buildsOutput struct {
	Builds         []document
	BuildsNotFound []string
}

func (s *service) batchGetBuilds(ctx context.Context, c wire.Call, in idsInput) (*buildsOutput, error) {
	out := &buildsOutput{Builds: []document{}, BuildsNotFound: []string{}}
	for _, given := range in.IDs {
		b, err := s.build(ctx, given)
		if errors.Is(err, project.ErrNotFound) {
			out.BuildsNotFound = append(out.BuildsNotFound, given)
			continue
		}
		if err != nil {
			return nil, err
		}
		doc, err := buildDocument(c, b)
		if err != nil {
			return nil, err
		}
		out.Builds = append(out.Builds, doc)
	}
	return out, nil
}

type deletedOutput struct {
	BuildsDeleted    []string
	BuildsNotDeleted []document
}

func (s *service) batchDeleteBuilds(ctx context.Context, _ wire.Call, in idsInput) (*deletedOutput, error) {
	out := &deletedOutput{BuildsDeleted: []string{}, BuildsNotDeleted: []document{}}
	for _, given := range in.IDs {
		b, err := s.build(ctx, given)
		if err == nil {
			err = s.Builds.DeleteBuild(ctx, b.ID)
		}
		var code string
		switch {
		case errors.Is(err, project.ErrNotFound):
			code = "BUILD_NOT_FOUND"
		case errors.Is(err, project.ErrInvalid):
			code = "BUILD_IN_PROGRESS"
		case err != nil:
			return nil, err
		default:
			out.BuildsDeleted = append(out.BuildsDeleted, given)
			continue
		}
		doc := document{}
		doc.set("id", given)
		doc.set("statusCode", code)
		out.BuildsNotDeleted = append(out.BuildsNotDeleted, doc)
	}
	return out, nil
}

type listBuildsInput struct {
	ProjectName string `json:"projectName"`
	SortOrder   string `json:"sortOrder"`
	NextToken   string `json:"nextToken"`
}

type idsOutput struct {
	Ids       []string
	NextToken string
}

func (s *service) listBuilds(ctx context.Context, c wire.Call, in listBuildsInput) (*idsOutput, error) {
	in.ProjectName = ""
	return s.listBuildsForProject(ctx, c, in)
}

func (s *service) listBuildsForProject(ctx context.Context, c wire.Call, in listBuildsInput) (*idsOutput, error) {
	name := projectName(in.ProjectName)
	return s.builds(ctx, asked{wire.List(c.Operation, name, in.SortOrder), in.NextToken, pageSize, in.SortOrder},
		project.Filter{Project: name, Kind: project.Alone})
}

// builds lists the ids of builds or batches, of a project when it has a name.
func (s *service) builds(ctx context.Context, a asked, filter project.Filter) (*idsOutput, error) {
	filter.Ascending = a.order == ascending
	page, next, err := inStore(s, a, func(after int64, limit int) ([]project.Listed, error) {
		filter.After, filter.Limit = after, limit
		return s.Builds.Builds(ctx, filter)
	}, func(b project.Listed) int64 { return b.Place })
	if err == nil && len(page) == 0 && a.token == "" && filter.Project != "" {
		// The builds of a project that is gone are listed; one that never was is
		// a mistake.
		_, err = s.Projects.Project(ctx, filter.Project)
	}
	if err != nil {
		return nil, err
	}
	out := &idsOutput{Ids: []string{}, NextToken: next}
	for _, b := range page {
		out.Ids = append(out.Ids, b.ID)
	}
	return out, nil
}
