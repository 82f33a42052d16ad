package notify

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Event is one event in the shape in which CodePipeline's come from
// EventBridge.
type Event struct {
	Version    string   `json:"version"` // "0", of the envelope
	ID         string   `json:"id"`      // the same each time that it is sent
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"` // RFC 3339, UTC, whole seconds
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

// Detail is what a state change is.
type Detail struct {
	Pipeline  string           `json:"pipeline"`
	Execution string           `json:"execution-id"`
	Trigger   *TriggerDetail   `json:"execution-trigger,omitempty"` // of a pipeline that starts
	Start     string           `json:"start-time"`                  // RFC 3339, UTC, milliseconds
	Stage     string           `json:"stage,omitempty"`
	Result    *ResultDetail    `json:"execution-result,omitempty"`
	Inputs    []ArtifactDetail `json:"input-artifacts,omitempty"`
	Outputs   []ArtifactDetail `json:"output-artifacts,omitempty"`
	ActionID  string           `json:"action-execution-id,omitempty"`
	Action    string           `json:"action,omitempty"`
	State     string           `json:"state"`
	Region    string           `json:"region,omitempty"`
	Type      *TypeDetail      `json:"type,omitempty"`
	Version   int              `json:"version"` // of the definition
	Attempt   int              `json:"pipeline-execution-attempt"`
	LastRetry string           `json:"stage-last-retry-attempt-time,omitempty"`
}

// TriggerDetail is what started an execution.
type TriggerDetail struct {
	Type   string `json:"trigger-type"`
	Detail string `json:"trigger-detail"`
	// The rest is what AWS tells of a commit.
	Commit  string `json:"commit-id,omitempty"`
	Message string `json:"commit-message,omitempty"`
	Branch  string `json:"branch-name,omitempty"`
	Author  string `json:"author-display-name,omitempty"`
}

// TypeDetail is the type of an action.
type TypeDetail struct {
	Owner    string `json:"owner"`
	Provider string `json:"provider"`
	Category string `json:"category"`
	Version  string `json:"version"`
}

// ResultDetail is how an action ended.
type ResultDetail struct {
	URL     string `json:"external-execution-url,omitempty"`
	Summary string `json:"external-execution-summary,omitempty"`
	ID      string `json:"external-execution-id,omitempty"`
	Error   string `json:"error-code,omitempty"`
}

// ArtifactDetail names an artifact. In place of AWS's s3location it has the
// digest.
type ArtifactDetail struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// origin is what an event says of the server that it comes from.
type origin struct{ account, region string }

var detailTypes = map[pipeline.ChangeKind]string{
	pipeline.ChangeOfPipeline: "CodePipeline Pipeline Execution State Change",
	pipeline.ChangeOfStage:    "CodePipeline Stage Execution State Change",
	pipeline.ChangeOfAction:   "CodePipeline Action Execution State Change",
}

// eventID is the id of a set's change at index i: the same whenever it is made,
// and that of no other change, also when a server was set up again and counts
// its executions from 1.
func eventID(set pipeline.ChangeSet, i int) string {
	return uuid(fmt.Sprintf("%q %d %d %d", set.Execution, set.Started.UnixNano(), set.Sequence, i))
}

// uuid is a UUID of version 8, which is a digest of a text.
func uuid(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// eventOf is the change at index i as an event. The link is that of its
// execution, or "".
func eventOf(set pipeline.ChangeSet, i int, from origin, link string) Event {
	change := set.Changes[i]
	start := change.Started
	if start.IsZero() {
		start = set.At
	}
	detail := Detail{
		Pipeline: set.Pipeline, Execution: set.Execution, Start: precise(start), State: string(change.State),
		Version: set.Version, Attempt: set.Attempt,
	}
	switch change.Kind {
	case pipeline.ChangeOfPipeline:
		if change.State == pipeline.ChangeStarted {
			detail.Trigger = triggerOf(set)
		}
	case pipeline.ChangeOfStage:
		detail.Stage = change.Stage
		if change.State == pipeline.ChangeResumed {
			detail.LastRetry = precise(set.At)
		}
	case pipeline.ChangeOfAction:
		detail.Stage, detail.Action, detail.Region = change.Stage, change.Action, from.region
		detail.ActionID = fmt.Sprintf("%s.%s.%d.%s", set.Execution, change.Stage, change.Attempt, change.Action)
		detail.Type = &TypeDetail{Owner: change.Type.Owner, Provider: change.Type.Provider, Category: string(change.Type.Category), Version: change.Type.Version}
		detail.Inputs, detail.Outputs = artifacts(change.Inputs), artifacts(change.Outputs)
		detail.Result = resultOf(change, link)
	}
	return Event{
		Version: "0", ID: eventID(set, i), DetailType: detailTypes[change.Kind], Source: "aws.codepipeline",
		Account: from.account, Time: set.At.UTC().Format(time.RFC3339), Region: from.region,
		Resources: []string{fmt.Sprintf("arn:aws:codepipeline:%s:%s:%s", from.region, from.account, set.Pipeline)},
		Detail:    detail,
	}
}

func precise(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// triggerOf is what started an execution, in CodePipeline's words.
func triggerOf(set pipeline.ChangeSet) *TriggerDetail {
	kind := set.Trigger.Type
	switch kind {
	case pipeline.TriggerPush:
		kind = "WebhookV2"
	case pipeline.TriggerManual:
		kind = "StartPipelineExecution"
	}
	return &TriggerDetail{
		Type: kind, Detail: set.Trigger.Detail,
		Commit: set.Revision.Commit, Message: set.Revision.Message, Branch: set.Revision.Branch, Author: set.Revision.Author,
	}
}

// resultOf is how an action ended, nil when it has only begun.
func resultOf(c pipeline.Change, link string) *ResultDetail {
	if c.State == pipeline.ChangeStarted || c.Summary == "" && link == "" && c.Outcome == "" {
		return nil
	}
	result := &ResultDetail{URL: link, Summary: c.Summary}
	switch c.Outcome {
	case pipeline.Failed:
		result.Error = "JobFailed"
	case pipeline.Faulted:
		result.Error = "SystemUnavailable"
	case pipeline.Succeeded:
	}
	return result
}

func artifacts(all []pipeline.Artifact) (named []ArtifactDetail) {
	for _, a := range all {
		named = append(named, ArtifactDetail{Name: a.Name, Digest: a.Digest})
	}
	return named
}
