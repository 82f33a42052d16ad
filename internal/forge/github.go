package forge

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/towline/towline/internal/pipeline"
)

// hub is what is used of GitHub's messages. Gitea and Forgejo have taken over
// their form.
type hub struct {
	Ref        string `json:"ref"`
	RefType    string `json:"ref_type"`
	Before     string `json:"before"`
	After      string `json:"after"`
	Action     string `json:"action"`
	Number     int    `json:"number"`
	Repository struct {
		FullName string `json:"full_name"`
		CloneURL string `json:"clone_url"`
	} `json:"repository"`
	Commits     []commit `json:"commits"`
	PullRequest *hubPull `json:"pull_request"`
	Sender      account  `json:"sender"`
}

// account is who has done what a message tells, in all forges but Bitbucket.
type account struct {
	ID int64 `json:"id"`
}

// name is the id as a text, "" when it is not told.
func (a account) name() string {
	if a.ID <= 0 {
		return ""
	}
	return strconv.FormatInt(a.ID, 10)
}

// commit is a commit of a push, in all forges that list them.
type commit struct {
	Added    []string `json:"added"`
	Modified []string `json:"modified"`
	Removed  []string `json:"removed"`
}

type hubPull struct {
	Title  string  `json:"title"`
	Merged bool    `json:"merged"`
	Merge  string  `json:"merge_commit_sha"` // of a trial, before it is merged
	Head   hubSide `json:"head"`
	Base   hubSide `json:"base"`
}

type hubSide struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		FullName string `json:"full_name"`
	} `json:"repo"` // null when the fork is gone
}

func parseGitHub(header http.Header, body []byte) (Event, error) {
	e := Event{Type: Other, Delivery: header.Get("X-Github-Delivery")}
	event := header.Get("X-Github-Event")
	switch event {
	case "ping":
		e.Type = Ping
		return e, nil
	case "push", "pull_request":
	default:
		return e, nil
	}
	m, err := decode[hub](body)
	if err != nil {
		return Event{}, err
	}
	e.Repository = Repository{Name: m.Repository.FullName, CloneURL: m.Repository.CloneURL}
	if event == "push" {
		e.Type = PushEvent
		e.Pushes = []Push{{Ref: m.Ref, Before: m.Before, After: m.After, Paths: paths(m.Commits), Actor: m.Sender.name()}}
		return e, nil
	}
	if m.PullRequest == nil {
		return Event{}, invalid("the message has no pull_request")
	}
	return m.pull(e, "synchronize"), nil
}

// pull fills in the pull request, or leaves the event as Other when its action
// is none that counts.
func (m hub) pull(e Event, updated string) Event {
	actions := map[string]pipeline.PullRequestEvent{
		"opened": pipeline.PullRequestOpen, "reopened": pipeline.PullRequestOpen,
		updated: pipeline.PullRequestUpdated, "closed": pipeline.PullRequestClosed,
	}
	action, ok := actions[m.Action]
	if !ok {
		return e
	}
	head, base := m.PullRequest.Head, m.PullRequest.Base
	e.Type = PullRequestEvent
	e.PullRequest = &PullRequest{
		Number: m.Number,
		Event:  action,
		Merged: m.PullRequest.Merged && action == pipeline.PullRequestClosed,
		Source: head.Ref,
		Target: base.Ref,
		Head:   head.SHA,
		Before: m.Before,
		Fork:   head.Repo == nil || base.Repo == nil || head.Repo.FullName != base.Repo.FullName,
		Ref:    fmt.Sprintf("refs/pull/%d/head", m.Number),
		Title:  m.PullRequest.Title,
		Actor:  m.Sender.name(),
	}
	if e.PullRequest.Merged {
		e.PullRequest.Merge = m.PullRequest.Merge
	}
	return e
}
