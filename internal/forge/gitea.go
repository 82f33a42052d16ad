package forge

import (
	"cmp"
	"net/http"
)

// parseGitea reads the messages of Gitea and of Forgejo, which differ in the
// names of headers alone.
func parseGitea(header http.Header, body []byte) (Event, error) {
	e := Event{Type: Other, Delivery: cmp.Or(header.Get("X-Forgejo-Delivery"), header.Get("X-Gitea-Delivery"))}
	event := cmp.Or(header.Get("X-Forgejo-Event"), header.Get("X-Gitea-Event"))
	switch event {
	case "push", "pull_request", "delete":
	default:
		return e, nil
	}
	m, err := decode[hub](body)
	if err != nil {
		return Event{}, err
	}
	e.Repository = Repository{Name: m.Repository.FullName, CloneURL: m.Repository.CloneURL}
	switch {
	case event == "delete":
		// A deleted branch or tag has a message of its own, with a short name.
		prefix := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}[m.RefType]
		e.Type, e.Pushes = PushEvent, []Push{{Ref: prefix + m.Ref, Actor: m.Sender.name()}}
	case event == "push":
		e.Type = PushEvent
		e.Pushes = []Push{{Ref: m.Ref, Before: m.Before, After: m.After, Paths: paths(m.Commits), Actor: m.Sender.name()}}
	case m.PullRequest != nil:
		return m.pull(e, "synchronized"), nil
	default:
		return Event{}, invalid("the message has no pull_request")
	}
	return e, nil
}
