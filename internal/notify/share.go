package notify

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// shareAtOnce bounds how long the database's only writer is held.
const shareAtOnce = 50

// share makes of what has changed what each subscription is to be sent.
func (n *Notifier) share(all []store.Notification, set pipeline.ChangeSet) (made []store.Notice, err error) {
	link := ""
	if n.Link != nil {
		link = n.Link(set.Execution)
	}
	for _, s := range all {
		var filter Filter
		if err := json.Unmarshal(s.Filter, &filter); err != nil {
			// The others are not to wait for this one.
			n.Logger.Error("read the filter of a notification: remove it and add it again", "notification", s.Name, "error", err)
			continue
		}
		if !filter.about(set.Pipeline) {
			continue
		}
		for i, change := range set.Changes {
			if !filter.Match(change) {
				continue
			}
			notice := store.Notice{Notification: s.Name, Execution: set.Execution, Event: eventID(set, i), Queued: n.Now()}
			said := messageOf(set, change, link)
			notice.Title = said.Title
			if notice.Body, err = bodyOf(Kind(s.Kind), said, eventOf(set, i, origin{n.Account, n.Region}, link)); err != nil {
				return nil, err
			}
			made = append(made, notice)
		}
	}
	return made, nil
}

// bodyOf is what a subscription of a kind is sent.
func bodyOf(kind Kind, said message, event Event) (body []byte, err error) {
	switch kind {
	case Slack:
		body, err = slackBody(said)
	case Email:
		body, err = json.Marshal(said)
	default:
		body, err = json.Marshal(event)
	}
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", event.ID, err)
	}
	return body, nil
}
