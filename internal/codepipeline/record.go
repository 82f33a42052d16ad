package codepipeline

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// record is a JSON object whose members keep their order, so that what is
// written reads as people know it.
type record []member //nolint:recvcheck // it grows by pointer and is a value for encoding/json

type member struct {
	name  string
	value any
}

// add appends a member, unless it is empty: AWS makes no difference between
// what is empty and what is not there.
func (r *record) add(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case int:
		if v == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case record:
		if len(v) == 0 {
			return
		}
	}
	*r = append(*r, member{name, value})
}

func (r record) get(name string) (any, bool) {
	for _, m := range r {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// addForeign appends what is foreign and not there yet, by name.
func (r *record) addForeign(f pipeline.Foreign) {
	there := map[string]bool{}
	for _, m := range *r {
		there[m.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if !there[name] {
			r.add(name, f[name])
		}
	}
}

// MarshalJSON writes the members in their order.
func (r record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(m.name)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal that leaves <, > and & as they are: people read what
// is written here, and no browser does.
func encode(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func encodeIndented(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(value)
	return b.Bytes(), err
}

// canonical is a JSON text with its members sorted and nothing between them.
// Numbers stay as they were written. A text that is not JSON stays as it is.
func canonical(raw json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return raw
	}
	out, err := encode(value)
	if err != nil {
		return raw
	}
	return out
}

// same tells whether two values are the same JSON, but for members that are
// null or empty. A default value may be empty and is not the same as none.
func same(a, b any) bool {
	x, errX := encode(a)
	y, errY := encode(b)
	return errX == nil && errY == nil && bytes.Equal(canonical(pruned(x)), canonical(pruned(y)))
}

// pruned is a JSON text without its null and empty members.
func pruned(raw json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return raw
	}
	if value = prune(value); empty(value) {
		value = nil
	}
	out, err := encode(value)
	if err != nil {
		return raw
	}
	return out
}

func prune(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	case map[string]any:
		for name, inner := range v {
			inner = prune(inner)
			if empty(inner) && name != "defaultValue" {
				delete(v, name)
			} else {
				v[name] = inner
			}
		}
	}
	return value
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
