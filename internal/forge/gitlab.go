package forge

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/towline/towline/internal/pipeline"
)

type lab struct {
	Kind    string `json:"object_kind"`
	Ref     string `json:"ref"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Project struct {
		Path    string `json:"path_with_namespace"`
		HTTPURL string `json:"git_http_url"`
	} `json:"project"`
	Commits []commit `json:"commits"`
	UserID  int64    `json:"user_id"` // of a push
	User    account  `json:"user"`    // of a merge request
	Request struct {
		IID             int    `json:"iid"`
		Action          string `json:"action"`
		Title           string `json:"title"`
		SourceBranch    string `json:"source_branch"`
		TargetBranch    string `json:"target_branch"`
		SourceProjectID *int   `json:"source_project_id"`
		TargetProjectID *int   `json:"target_project_id"`
		OldRevision     string `json:"oldrev"`
		MergeCommit     string `json:"merge_commit_sha"`  // null of a merge without a commit
		SquashCommit    string `json:"squash_commit_sha"` // null of one that squashes nothing
		LastCommit      struct {
			ID string `json:"id"`
		} `json:"last_commit"`
	} `json:"object_attributes"`
}

// parseGitLab reads the messages of GitLab. What has happened stands in the
// body, which is signed, as well as in a header, which is not.
func parseGitLab(header http.Header, body []byte) (Event, error) {
	e := Event{Type: Other, Delivery: cmp.Or(
		header.Get("Webhook-Id"), header.Get("Idempotency-Key"), header.Get("X-Gitlab-Event-Uuid"))}
	m, err := decode[lab](body)
	if err != nil {
		return Event{}, err
	}
	e.Repository = Repository{Name: m.Project.Path, CloneURL: m.Project.HTTPURL}
	switch m.Kind {
	case "push", "tag_push":
		e.Type = PushEvent
		e.Pushes = []Push{{Ref: m.Ref, Before: m.Before, After: m.After, Paths: paths(m.Commits), Actor: account{m.UserID}.name()}}
	case "merge_request":
		return m.pull(e), nil
	}
	return e, nil
}

func (m lab) pull(e Event) Event {
	r := m.Request
	actions := map[string]pipeline.PullRequestEvent{
		"open": pipeline.PullRequestOpen, "reopen": pipeline.PullRequestOpen,
		"update": pipeline.PullRequestUpdated, "merge": pipeline.PullRequestClosed, "close": pipeline.PullRequestClosed,
	}
	action, ok := actions[r.Action]
	// Without an old revision no code has changed, only a label or the title.
	if !ok || action == pipeline.PullRequestUpdated && r.OldRevision == "" {
		return e
	}
	e.Type = PullRequestEvent
	e.PullRequest = &PullRequest{
		Number: r.IID,
		Event:  action,
		Merged: r.Action == "merge",
		Source: r.SourceBranch,
		Target: r.TargetBranch,
		Head:   r.LastCommit.ID,
		Before: r.OldRevision,
		Fork:   r.SourceProjectID == nil || r.TargetProjectID == nil || *r.SourceProjectID != *r.TargetProjectID,
		Ref:    fmt.Sprintf("refs/merge-requests/%d/head", r.IID),
		Title:  r.Title,
		Actor:  m.User.name(),
	}
	if e.PullRequest.Merged {
		e.PullRequest.Merge = cmp.Or(r.MergeCommit, r.SquashCommit)
	}
	return e
}
