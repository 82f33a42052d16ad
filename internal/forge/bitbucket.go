package forge

import (
	"net/http"

	"github.com/towline/towline/internal/pipeline"
)

type bucket struct {
	Repository bucketRepository `json:"repository"`
	Push       struct {
		Changes []struct {
			Old *bucketRef `json:"old"` // null when the ref is new
			New *bucketRef `json:"new"` // null when it is deleted
		} `json:"changes"`
	} `json:"push"`
	Actor struct {
		AccountID string `json:"account_id"`
	} `json:"actor"`
	PullRequest *struct {
		ID          int        `json:"id"`
		Title       string     `json:"title"`
		Source      bucketSide `json:"source"`
		Destination bucketSide `json:"destination"`
		MergeCommit struct {
			Hash string `json:"hash"`
		} `json:"merge_commit"` // null before it is merged
	} `json:"pullrequest"`
}

type bucketRepository struct {
	FullName string `json:"full_name"`
	UUID     string `json:"uuid"`
	Links    struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

type bucketRef struct {
	Type   string `json:"type"` // branch, named_branch, tag, annotated_tag
	Name   string `json:"name"`
	Target struct {
		Hash string `json:"hash"`
	} `json:"target"`
}

type bucketSide struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
	Commit struct {
		Hash string `json:"hash"`
	} `json:"commit"`
	Repository *bucketRepository `json:"repository"` // null when the fork is gone
}

// parseBitbucket reads the messages of Bitbucket Cloud. They tell several refs
// at once and no paths.
func parseBitbucket(header http.Header, body []byte) (Event, error) {
	e := Event{Type: Other, Delivery: header.Get("X-Request-Uuid")}
	key := header.Get("X-Event-Key")
	actions := map[string]pipeline.PullRequestEvent{
		"pullrequest:created": pipeline.PullRequestOpen, "pullrequest:updated": pipeline.PullRequestUpdated,
		"pullrequest:fulfilled": pipeline.PullRequestClosed, "pullrequest:rejected": pipeline.PullRequestClosed,
	}
	action, isPull := actions[key]
	if key == "diagnostics:ping" {
		e.Type = Ping
		return e, nil
	}
	if key != "repo:push" && !isPull {
		return e, nil
	}
	m, err := decode[bucket](body)
	if err != nil {
		return Event{}, err
	}
	e.Repository = Repository{Name: m.Repository.FullName, CloneURL: m.Repository.Links.HTML.Href}
	if !isPull {
		e.Type = PushEvent
		e.Pushes, err = m.pushes()
		return e, err
	}
	p := m.PullRequest
	if p == nil {
		return Event{}, invalid("the message has no pullrequest")
	}
	from, to := p.Source.Repository, p.Destination.Repository
	e.Type = PullRequestEvent
	e.PullRequest = &PullRequest{
		Number: p.ID,
		Event:  action,
		Merged: key == "pullrequest:fulfilled",
		Source: p.Source.Branch.Name,
		Target: p.Destination.Branch.Name,
		Head:   p.Source.Commit.Hash,
		Fork:   from == nil || to == nil || from.FullName != to.FullName || from.UUID != to.UUID,
		Title:  p.Title,
		Actor:  m.Actor.AccountID,
	}
	if e.PullRequest.Merged {
		e.PullRequest.Merge = p.MergeCommit.Hash
	}
	return e, nil
}

func (m bucket) pushes() ([]Push, error) {
	var pushes []Push
	for _, change := range m.Push.Changes {
		p := Push{Actor: m.Actor.AccountID}
		if change.Old != nil {
			p.Ref, p.Before = change.Old.ref(), change.Old.Target.Hash
		}
		if change.New != nil {
			p.Ref, p.After = change.New.ref(), change.New.Target.Hash
		}
		pushes = append(pushes, p)
	}
	if len(pushes) == 0 {
		return nil, invalid("the push changes nothing")
	}
	return pushes, nil
}

func (r bucketRef) ref() string {
	if r.Type == "tag" || r.Type == "annotated_tag" {
		return "refs/tags/" + r.Name
	}
	return "refs/heads/" + r.Name
}
