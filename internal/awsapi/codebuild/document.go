package codebuild

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/project"
)

// document is an object of an answer, member by member.
type document map[string]json.RawMessage

// documentOf is a value by its JSON tags.
func documentOf(value any) (document, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	d := document{}
	return d, json.Unmarshal(text, &d)
}

// set gives a member a value, unless it is empty.
func (d document) set(name string, value any) {
	text, err := json.Marshal(value)
	if err == nil && string(text) != `""` && string(text) != "null" {
		d[name] = text
	}
}

// orElse gives a member a value that it has none.
func (d document) orElse(name string, value any) {
	if _, there := d[name]; !there {
		d.set(name, value)
	}
}

// at gives a member an instant, unless it is the zero one.
func (d document) at(name string, t time.Time) {
	if !t.IsZero() {
		d[name] = fmt.Appendf(nil, "%d.%03d", t.Unix(), t.Nanosecond()/1e6)
	}
}

// documents are those of what was asked for by many names, which look makes for
// one of them, and the names of which there is nothing.
func documents(names []string, look func(name string) (document, error)) (found []document, missing []string, err error) {
	found, missing = []document{}, []string{}
	for _, name := range names {
		switch doc, err := look(name); {
		case errors.Is(err, project.ErrNotFound):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		default:
			found = append(found, doc)
		}
	}
	return found, missing, nil
}
