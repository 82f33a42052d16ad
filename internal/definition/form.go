package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/invopop/jsonschema"
)

// formed is a type that a file may write in several ways. The forms are the
// types of which a value must have the shape of one; at most one of them is a
// mapping and one a list.
type formed interface {
	forms() []reflect.Type
}

// oneOrMany is one T, or a list of them.
type oneOrMany[T any] []T

func (oneOrMany[T]) forms() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[T](), reflect.TypeFor[[]T]()}
}

// UnmarshalJSON reads either form.
func (o *oneOrMany[T]) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*[]T)(o))
	}
	*o = make([]T, 1)
	return json.Unmarshal(text, &(*o)[0])
}

// MarshalJSON writes the short form where it will do.
func (o oneOrMany[T]) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]T(o))
}

// JSONSchema describes both forms.
func (o oneOrMany[T]) JSONSchema() *jsonschema.Schema { return schemaOf(o) }

// variables are the pipeline's variables in the order of the file.
type variables []namedVariable

type namedVariable struct {
	Name string
	variable
}

func (variables) forms() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[map[string]variable]()}
}

// UnmarshalJSON keeps the order, which a map would lose.
func (v *variables) UnmarshalJSON(text []byte) error {
	tree, err := treeOf(text)
	if err != nil {
		return err
	}
	for i, name := range tree.keys {
		one := namedVariable{Name: name}
		if err := json.Unmarshal(tree.values[i].json(), &one.variable); err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
		*v = append(*v, one)
	}
	return nil
}

// MarshalJSON writes a mapping.
func (v variables) MarshalJSON() ([]byte, error) {
	tree := &tree{kind: mapping}
	for _, one := range v {
		text, err := json.Marshal(one.variable)
		if err != nil {
			return nil, err
		}
		value, err := treeOf(text)
		if err != nil {
			return nil, err
		}
		tree.add(one.Name, value)
	}
	return tree.json(), nil
}

// JSONSchema describes the mapping.
func (v variables) JSONSchema() *jsonschema.Schema { return schemaOf(v) }

// variable is a default, or a mapping that may have one.
type variable struct{ declaration }

type declaration struct {
	Default     *string `json:"default,omitempty" doc:"value when none is given; without it one must be given"`
	Description string  `json:"description,omitempty" doc:"what the variable is for"`
}

func (variable) forms() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[declaration]()}
}

// UnmarshalJSON reads either form.
func (v *variable) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &v.Default)
	}
	return json.Unmarshal(text, &v.declaration)
}

// MarshalJSON writes the short form where it will do.
func (v variable) MarshalJSON() ([]byte, error) {
	if v.Default != nil && v.Description == "" {
		return json.Marshal(*v.Default)
	}
	return json.Marshal(v.declaration)
}

// JSONSchema describes both forms.
func (v variable) JSONSchema() *jsonschema.Schema { return schemaOf(v) }

// onFailure is a word, or a mapping.
type onFailure struct{ failure }

// failureWord is the short form.
type failureWord string

// JSONSchema lists the words.
func (failureWord) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Enum: []any{"rollback", "retry", "fail", "skip"}}
}

func (onFailure) forms() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[failureWord](), reflect.TypeFor[failure]()}
}

// UnmarshalJSON reads either form.
func (o *onFailure) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &o.Else)
	}
	return json.Unmarshal(text, &o.failure)
}

// MarshalJSON writes the short form where it will do.
func (o onFailure) MarshalJSON() ([]byte, error) {
	if o.Else != "" && o.Retry == "" && o.Rules == nil {
		return json.Marshal(o.Else)
	}
	return json.Marshal(o.failure)
}

// JSONSchema describes both forms.
func (o onFailure) JSONSchema() *jsonschema.Schema { return schemaOf(o) }

// minutes are written as a number or as a duration; "" is none.
type minutes string

func (minutes) forms() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int]()}
}

// UnmarshalJSON reads either form.
func (m *minutes) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, (*string)(m))
	}
	*m = minutes(text)
	return nil
}

// JSONSchema describes both forms.
func (m minutes) JSONSchema() *jsonschema.Schema { return schemaOf(m) }

// mostMinutes is the longest that CodePipeline lets an action take: 60 days.
const mostMinutes = 86400

// count is how many minutes are meant, ok false when it is not a whole number
// of them or too many.
func (m minutes) count() (count int, ok bool) {
	if m == "" {
		return 0, true
	}
	count, err := strconv.Atoi(string(m))
	if err != nil {
		d, err := time.ParseDuration(string(m))
		if err != nil || d%time.Minute != 0 {
			return 0, false
		}
		count = int(d / time.Minute)
	}
	return count, count >= 1 && count <= mostMinutes
}

// written is the inverse of count.
func written(count int) minutes {
	switch {
	case count == 0:
		return ""
	case count%60 == 0:
		return minutes(fmt.Sprintf("%dh", count/60))
	}
	return minutes(fmt.Sprintf("%dm", count))
}
