package codebuild

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
)

// batchPrefix begins the id of a batch in its ARN.
const batchPrefix = "build-batch/"

// batchID is the id in the ARN of a batch, or what was given.
func batchID(given string) string { return named(batchPrefix, given) }

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
	doc.set("arn", c.ARN(buildPrefix+b.ID))
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
	if in.Debug {
		return nil, noDebugging()
	}
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
	b, err := s.Builds.Start(ctx, builder.StartRequest{
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
	b, err := s.Batches.RetryBatch(ctx, batchID(in.ID), in.Type == "RETRY_ALL_BUILDS", builder.StartRequest{Token: in.Token, Digest: in.ID + " " + in.Type})
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
		out.BuildsDeleted = append(out.BuildsDeleted, c.ARN(buildPrefix+id))
	}
	return out, nil
}

type batchesOutput struct {
	BuildBatches         []document
	BuildBatchesNotFound []string
}

func (s *service) batchGetBuildBatches(ctx context.Context, c wire.Call, in idsInput) (*batchesOutput, error) {
	found, missing, err := documents(in.IDs, func(given string) (document, error) {
		b, err := s.batch(ctx, given)
		if err != nil {
			return nil, err
		}
		return s.batchDocument(ctx, c, b)
	})
	return &batchesOutput{found, missing}, err
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
		builder.Filter{Project: name, Kind: builder.Batches, Status: in.Filter.Status})
}
