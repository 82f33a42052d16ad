package wire

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Model says what each operation's request must look like. It is an API's own
// public model, without its prose and its answers, as a model.json has it.
type Model struct {
	Operations map[string]struct {
		Input  string   `json:"input"`  // a shape
		Errors []string `json:"errors"` // that its clients have types for
	} `json:"operations"`
	Shapes map[string]*Shape `json:"shapes"`
}

// Shape is one type of an API: what its JSON is, and the limits of its values.
type Shape struct {
	Type     string            `json:"type"`
	Members  map[string]string `json:"members"` // of a structure: name to shape
	Required []string          `json:"required"`
	Member   string            `json:"member"` // of a list
	Key      string            `json:"key"`    // of a map
	Value    string            `json:"value"`
	Min      *int64            `json:"min"` // of a number, or of a length
	Max      *int64            `json:"max"`
	Pattern  string            `json:"pattern"`
	Enum     []string          `json:"enum"`
	Hidden   bool              `json:"-"` // values are secrets: no answer repeats them

	matches *regexp.Regexp // Pattern, of the whole value
}

// ReadModel reads a model. Change may alter it before it is used, and hidden are
// the shapes whose values may be secrets.
func ReadModel(text []byte, change func(*Model), hidden ...string) (*Model, error) {
	m := &Model{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read the model of the API: %w", err)
	}
	change(m)
	for _, name := range hidden {
		s, ok := m.Shapes[name]
		if !ok {
			return nil, fmt.Errorf("read the model of the API: it has no shape %s", name)
		}
		s.Hidden = true
	}
	for name, s := range m.Shapes {
		if s.Pattern == "" {
			continue
		}
		var err error
		if s.matches, err = regexp.Compile(`^(?:` + s.Pattern + `)$`); err != nil {
			return nil, fmt.Errorf("read the model of the API: pattern of %s: %w", name, err)
		}
	}
	return m, nil
}
