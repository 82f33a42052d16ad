package codebuild

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/project"
)

// record is what CodeBuild calls the members that builds and batches have each
// by a name of its own.
type record struct{ arn, number, status, complete string }

var (
	buildRecord = record{arn: buildPrefix, number: "buildNumber", status: "buildStatus", complete: "buildComplete"}
	batchRecord = record{arn: batchPrefix, number: "buildBatchNumber", status: "buildBatchStatus", complete: "complete"}
)

// document is what a build and a batch of builds have in common, in CodeBuild's
// form.
func (r record) document(c wire.Call, b project.Build) (document, error) {
	doc, err := ofBuild(c, b.Definition)
	if err != nil {
		return nil, err
	}
	doc.set("id", b.ID)
	doc.set("arn", c.ARN(r.arn+b.ID))
	doc.set(r.number, b.Number)
	doc.set(r.status, b.Status)
	doc.set(r.complete, b.Done())
	doc.set("projectName", b.Project)
	doc.set("initiator", b.Initiator)
	doc.set("sourceVersion", b.Version)
	doc.set("resolvedSourceVersion", b.Resolved)
	doc.at("startTime", b.Started)
	doc.at("endTime", b.Ended)
	doc.set("currentPhase", b.Phase)
	doc.set("phases", phaseDocuments(b.Phases))
	doc.set("artifacts", artifactsDocument(b.Definition.Artifacts, b.Delivered))
	var further []document
	for _, a := range b.Definition.SecondaryArtifacts {
		further = append(further, artifactsDocument(a, b.Delivered))
	}
	doc.set("secondaryArtifacts", further)
	return doc, nil
}

// buildDocument is a build in CodeBuild's form.
func buildDocument(c wire.Call, b project.Build) (document, error) {
	doc, err := buildRecord.document(c, b)
	if err != nil {
		return nil, err
	}
	doc.set("logs", logsDocument(c, b))
	doc.set("exportedEnvironmentVariables", exported(b.Exported))
	if len(b.Reports) > 0 {
		doc.set("reportArns", reportARNs(c, b.Reports))
	}
	if b.PartOf != "" {
		doc.set("buildBatchArn", c.ARN(batchPrefix+b.PartOf))
	}
	if b.Definition.AutoRetry > 0 {
		doc.set("autoRetryConfig", map[string]int{"autoRetryLimit": b.Definition.AutoRetry, "autoRetryNumber": b.Retries})
	}
	return doc, nil
}

// batchDocument is a batch in CodeBuild's form.
func (s *service) batchDocument(ctx context.Context, c wire.Call, b project.Build) (document, error) {
	doc, err := batchRecord.document(c, b)
	if err != nil {
		return nil, err
	}
	doc["buildTimeoutInMinutes"] = doc["timeoutInMinutes"]
	delete(doc, "timeoutInMinutes")
	doc.set("buildBatchConfig", b.Definition.Batch)
	logs := document{}
	logs.set("cloudWatchLogs", map[string]string{"status": "ENABLED", "groupName": LogGroup(b.Project), "streamName": b.UUID()})
	doc.set("logConfig", logs)
	all, err := s.Batches.Parts(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	doc.set("buildGroups", groups(c, b, all))
	doc.set("reportArns", reportsOf(c, all))
	return doc, nil
}

// ofBuild is a definition without the members that a build of it has not, or
// has otherwise.
func ofBuild(c wire.Call, d project.Definition) (document, error) {
	doc, err := described(c, d)
	for _, name := range []string{"name", "description", "artifacts", "secondaryArtifacts", "concurrentBuildLimit", "sourceVersion", "tags", "logsConfig", "buildBatchConfig", "autoRetryLimit"} {
		delete(doc, name)
	}
	return doc, err
}

func exported(values map[string]string) []map[string]string {
	all := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, map[string]string{"name": name, "value": values[name]})
	}
	return all
}

// artifactsDocument says where an artifact has gone, once it has.
func artifactsDocument(a project.Artifacts, delivered []project.Delivered) document {
	doc := document{}
	doc.set("artifactIdentifier", a.Identifier)
	for _, d := range delivered {
		if d.Identifier == a.Identifier {
			doc.set("location", "arn:aws:s3:::"+d.Location)
			doc.set("sha256sum", strings.TrimPrefix(d.Digest, "sha256:"))
			doc.set("md5sum", d.MD5)
		}
	}
	doc.set("overrideArtifactName", a.ByBuild)
	doc.set("encryptionDisabled", a.Plain)
	doc.set("bucketOwnerAccess", a.Owner)
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
