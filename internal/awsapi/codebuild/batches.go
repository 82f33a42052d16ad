package codebuild

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/project"
)

// batchID is the id in the ARN of a batch, or what was given.
func batchID(given string) string {
	if strings.HasPrefix(given, "arn:") {
		_, id, _ := strings.Cut(given, ":build-batch/")
		return id
	}
	return given
}

// batch is the batch of an id. The error is of the kind project.ErrNotFound when
// there is none, also when the id is that of a build.
func (s *service) batch(ctx context.Context, given string) (project.Build, error) {
	b, err := s.Builds.Build(ctx, batchID(given))
	if err == nil && b.Batch == nil {
		err = noBatch(given)
	}
	return b, err
}

func noBatch(given string) error {
	return &project.Error{Kind: project.ErrNotFound, Message: fmt.Sprintf("there is no batch of builds %.300q", given)}
}

// batchDocument is a batch in CodeBuild's form.
func (s *service) batchDocument(ctx context.Context, c wire.Call, b project.Build) (document, error) {
	doc, err := ofBuild(c, b.Definition)
	if err != nil {
		return nil, err
	}
	doc["buildTimeoutInMinutes"] = doc["timeoutInMinutes"]
	delete(doc, "timeoutInMinutes")
	doc.set("buildBatchConfig", b.Definition.Batch)
	logs := document{}
	logs.set("cloudWatchLogs", map[string]string{"status": "ENABLED", "groupName": LogGroup(b.Project), "streamName": b.UUID()})
	doc.set("logConfig", logs)
	doc.set("id", b.ID)
	doc.set("arn", c.ARN("build-batch/"+b.ID))
	doc.set("buildBatchNumber", b.Number)
	doc.set("projectName", b.Project)
	doc.at("startTime", b.Started)
	doc.at("endTime", b.Ended)
	doc.set("currentPhase", b.Phase)
	doc.set("buildBatchStatus", b.Status)
	doc.set("complete", b.Done())
	doc.set("initiator", b.Initiator)
	doc.set("sourceVersion", b.Version)
	doc.set("resolvedSourceVersion", b.Resolved)
	var phases []document
	for _, p := range b.Phases {
		phases = append(phases, phaseDocument(p))
	}
	doc.set("phases", phases)
	doc.set("artifacts", artifactsDocument(b.Definition.Artifacts, b.Delivered, ""))
	all, err := s.Batches.Parts(ctx, b.ID)
	doc.set("buildGroups", groups(c, b, all))
	doc.set("reportArns", reportsOf(c, all))
	return doc, err
}

// reportsOf are the reports of the builds of a batch.
func reportsOf(c wire.Call, all []project.Build) []string {
	var ids []string
	for _, part := range all {
		ids = append(ids, part.Reports...)
	}
	return reportARNs(c, ids)
}

// groups are the builds of a batch as they stand.
func groups(c wire.Call, b project.Build, all []project.Build) []document {
	byID := map[string]project.Build{}
	for _, part := range all {
		byID[part.ID] = part
	}
	groups := []document{}
	for _, g := range b.Groups {
		doc := document{}
		doc.set("identifier", g.Identifier)
		doc.set("dependsOn", append([]string{}, g.DependsOn...))
		doc.set("ignoreFailure", g.IgnoreFailure)
		if part, there := byID[g.Build]; there {
			doc.set("currentBuildSummary", buildSummary(c, part))
		}
		prior := []document{}
		for _, id := range g.Prior {
			if part, there := byID[id]; there {
				prior = append(prior, buildSummary(c, part))
			}
		}
		doc.set("priorBuildSummaryList", prior)
		groups = append(groups, doc)
	}
	return groups
}

// buildSummary is a build of a batch in a few words.
func buildSummary(c wire.Call, b project.Build) document {
	doc := document{}
	doc.set("arn", c.ARN("build/"+b.ID))
	doc.at("requestedOn", b.Started)
	doc.set("buildStatus", b.Status)
	resolved := func(a project.Artifacts) document {
		doc := document{}
		doc.set("type", a.Type)
		doc.set("identifier", a.Identifier)
		for _, d := range b.Delivered {
			if d.Identifier == a.Identifier {
				doc.set("location", "arn:aws:s3:::"+d.Location)
			}
		}
		return doc
	}
	doc.set("primaryArtifact", resolved(b.Definition.Artifacts))
	further := []document{}
	for _, a := range b.Definition.SecondaryArtifacts {
		further = append(further, resolved(a))
	}
	doc.set("secondaryArtifacts", further)
	return doc
}

type batchOutput struct{ BuildBatch document }

// batched answers with a batch as it is now.
func (s *service) batched(ctx context.Context, c wire.Call, b project.Build, err error) (*batchOutput, error) {
	if err != nil {
		return nil, err
	}
	doc, err := s.batchDocument(ctx, c, b)
	return &batchOutput{doc}, err
}

// startBatchInput is StartBuildBatchInput, as far as it has a meaning here.
type startBatchInput struct {
	startInput
	BuildTimeout *int                 `json:"buildTimeoutInMinutesOverride"`
	ReportBatch  *bool                `json:"reportBuildBatchStatusOverride"`
	Batch        *project.BatchConfig `json:"buildBatchConfigOverride"`
}

func (s *service) startBuildBatch(ctx context.Context, c wire.Call, in startBatchInput) (*batchOutput, error) {
	in.Timeout, in.ReportStatus = in.BuildTimeout, in.ReportBatch
	names := in.redefines()
	if in.Batch != nil {
		names = append(names, "buildBatchConfigOverride")
	}
	if len(names) > 0 && !c.Key.Role.Allows(client.Admin) {
		return nil, tooMuch(c, names)
	}
	digest, err := digestOf(in)
	if err != nil {
		return nil, err
	}
	b, err := s.Builds.Start(ctx, project.StartRequest{
		Project: projectName(in.ProjectName), Version: in.SourceVersion, Batch: true, Initiator: c.Who(), Region: c.Region, Token: in.Token, Digest: digest,
		Change: func(d *project.Definition) {
			in.change(d)
			if in.Batch != nil {
				d.Batch = in.Batch
			}
		},
	})
	return s.batched(ctx, c, b, err)
}

type retryBatchInput struct {
	ID    string `json:"id"`
	Token string `json:"idempotencyToken"`
	Type  string `json:"retryType"`
}

func (s *service) retryBuildBatch(ctx context.Context, c wire.Call, in retryBatchInput) (*batchOutput, error) {
	if in.ID == "" {
		return nil, wire.Faultf("InvalidInputException", "Batch id must be given.")
	}
	b, err := s.Batches.RetryBatch(ctx, batchID(in.ID), in.Type == "RETRY_ALL_BUILDS", project.StartRequest{Token: in.Token, Digest: in.ID + " " + in.Type})
	return s.batched(ctx, c, b, err)
}

func (s *service) stopBuildBatch(ctx context.Context, c wire.Call, in retryInput) (*batchOutput, error) {
	b, err := s.batch(ctx, in.ID)
	if err == nil {
		b, err = s.Builds.Stop(ctx, b.ID)
	}
	return s.batched(ctx, c, b, err)
}

type deletedBatch struct {
	StatusCode       string
	BuildsDeleted    []string
	BuildsNotDeleted []document
}

func (s *service) deleteBuildBatch(ctx context.Context, c wire.Call, in retryInput) (*deletedBatch, error) {
	ids, err := s.Batches.DeleteBatch(ctx, batchID(in.ID))
	if err != nil {
		return nil, err
	}
	out := &deletedBatch{StatusCode: "SUCCEEDED", BuildsDeleted: []string{}, BuildsNotDeleted: []document{}}
	for _, id := range ids {
		out.BuildsDeleted = append(out.BuildsDeleted, c.ARN("build/"+id))
	}
	return out, nil
}

type batchesOutput struct {
	BuildBatches         []document
	BuildBatchesNotFound []string
}

func (s *service) batchGetBuildBatches(ctx context.Context, c wire.Call, in idsInput) (*batchesOutput, error) {
	out := &batchesOutput{BuildBatches: []document{}, BuildBatchesNotFound: []string{}}
	for _, given := range in.IDs {
		b, err := s.batch(ctx, given)
		if errors.Is(err, project.ErrNotFound) {
			out.BuildBatchesNotFound = append(out.BuildBatchesNotFound, given)
			continue
		}
		if err != nil {
			return nil, err
		}
		doc, err := s.batchDocument(ctx, c, b)
		if err != nil {
			return nil, err
		}
		out.BuildBatches = append(out.BuildBatches, doc)
	}
	return out, nil
}

type listBatchesInput struct {
	listBuildsInput
	Size   int `json:"maxResults"`
	Filter struct {
		Status string `json:"status"`
	} `json:"filter"`
}

func (s *service) listBuildBatches(ctx context.Context, c wire.Call, in listBatchesInput) (*idsOutput, error) {
	in.ProjectName = ""
	return s.listBuildBatchesForProject(ctx, c, in)
}

func (s *service) listBuildBatchesForProject(ctx context.Context, c wire.Call, in listBatchesInput) (*idsOutput, error) {
	name := projectName(in.ProjectName)
	return s.builds(ctx, asked{wire.List(c.Operation, name, in.SortOrder, in.Filter.Status), in.NextToken, size(in.Size), in.SortOrder},
		project.Filter{Project: name, Kind: project.Batches, Status: in.Filter.Status})
}
