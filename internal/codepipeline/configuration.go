package codepipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// owner is that of Towline's own action types.
const owner = "Towline"

// filesPart holds, within a configuration, which files form each output
// artifact of an action of AWS's: an object of lists by the artifact's name.
const filesPart = "files"

// parts are the members of an action that stand in its configuration here,
// since the variables in them are resolved there: lists, where all that AWS
// calls configuration is text.
var parts = []string{"commands", "outputVariables", "environmentVariables"}

// configuration takes what AWS calls the configuration of an action or a rule,
// and the parts, and makes one object of them. A part for which the
// configuration has no room, because a text of that name stands there, stays
// foreign.
func (r *reader) configuration(from object, t pipeline.ActionType, files map[string][]string, foreign pipeline.Foreign) (json.RawMessage, pipeline.Foreign) {
	values := map[string]json.RawMessage{}
	if raw, ok := from.take("configuration"); ok {
		o := r.object(raw, from.at("configuration"))
		for name, raw := range o.members {
			if string(bytes.TrimSpace(raw)) != "null" {
				values[name] = decodeValue(t, name, r.text(raw, o.at(name)))
			}
		}
	}
	put := func(name string, raw json.RawMessage) {
		if _, taken := values[name]; taken || t.Owner == owner {
			foreign = with(foreign, name, raw)
			return
		}
		values[name] = canonical(raw)
	}
	for _, name := range parts {
		if raw, ok := from.take(name); ok {
			if elements := r.list(raw, from.at(name)); len(elements) > 0 {
				put(name, raw)
			}
		}
	}
	if _, taken := values[filesPart]; len(files) > 0 && !taken && t.Owner != owner {
		if raw, err := encode(files); err == nil {
			values[filesPart] = raw
		}
	}
	if len(values) == 0 {
		return nil, foreign
	}
	out, err := encode(values)
	if err != nil {
		r.problem(from.at("configuration"), "", "it cannot be written: %v", err)
	}
	return out, foreign
}

// split takes a configuration apart again: texts, and the parts, whose order is
// AWS's. A configuration that is not an object has neither.
func split(configuration json.RawMessage, t pipeline.ActionType) (texts, others record) {
	var values map[string]json.RawMessage
	if len(configuration) == 0 || json.Unmarshal(configuration, &values) != nil {
		return nil, nil
	}
	for _, name := range append(slices.Clone(parts), filesPart) {
		if raw, ok := values[name]; ok && t.Owner != owner && isPart(name, raw) {
			others = append(others, member{name, raw})
			delete(values, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if string(values[name]) != "null" {
			texts = append(texts, member{name, encodeValue(t, name, values[name])})
		}
	}
	return texts, others
}

func isPart(name string, raw json.RawMessage) bool {
	if name == filesPart {
		var files map[string][]string
		return json.Unmarshal(raw, &files) == nil && files != nil
	}
	return kindOf(raw) == "a list"
}

// filesOf are the files of output artifacts that a configuration names.
func filesOf(configuration json.RawMessage, t pipeline.ActionType) map[string][]string {
	_, others := split(configuration, t)
	raw, ok := others.get(filesPart)
	if !ok {
		return nil
	}
	var files map[string][]string
	if json.Unmarshal(raw.(json.RawMessage), &files) != nil {
		return nil
	}
	return files
}

// without is the record but for one member.
func (r record) without(name string) record {
	return slices.DeleteFunc(slices.Clone(r), func(m member) bool { return m.name == name })
}

// The configurations of Towline's own types have numbers, lists and objects,
// AWS's have text alone. So what is not text is written as JSON, and text that
// could be taken for it is put in quotes once more.

// own are the configurations of Towline's own types.
var own = map[string]reflect.Type{
	"Source/Git": reflect.TypeFor[pipeline.Source](), "Source/Image": reflect.TypeFor[pipeline.ImageSource](),
	"Build/Buildspec": reflect.TypeFor[pipeline.Build](), "Build/Image": reflect.TypeFor[pipeline.Image](),
	"Deploy/Kubernetes": reflect.TypeFor[pipeline.Deploy](),
}

// isText tells whether a value of a configuration is known to be text: a user
// is "1000" and not a number.
func isText(t pipeline.ActionType, name string) bool {
	if t.Owner != owner {
		return true
	}
	known, ok := own[t.String()]
	if !ok {
		return false
	}
	for f := range known.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type.Kind() == reflect.String
		}
	}
	return false
}

func decodeValue(t pipeline.ActionType, name, text string) json.RawMessage {
	switch {
	case isText(t, name) || !looksWritten(text):
		return quote(text)
	case kindOf(json.RawMessage(text)) == "text":
		return json.RawMessage(text)
	}
	return canonical(json.RawMessage(text))
}

func encodeValue(t pipeline.ActionType, name string, raw json.RawMessage) string {
	var text string
	if kindOf(raw) != "text" || json.Unmarshal(raw, &text) != nil {
		return string(canonical(raw))
	}
	if !isText(t, name) && looksWritten(text) {
		return string(quote(text))
	}
	return text
}

// looksWritten tells whether a text is JSON of something else than text, or
// such a text in quotes.
func looksWritten(text string) bool {
	for json.Valid([]byte(text)) {
		if kindOf(json.RawMessage(text)) != "text" {
			return true
		}
		var inner string
		if json.Unmarshal([]byte(text), &inner) != nil || string(quote(inner)) != text {
			return false
		}
		text = inner
	}
	return false
}

func quote(text string) json.RawMessage {
	raw, err := encode(text)
	if err != nil {
		panic(fmt.Sprintf("a text cannot be written: %v", err)) // encoding/json writes every string
	}
	return raw
}
