package template

import (
	"encoding/json"
	"strings"
)

// Value is what a part of a template evaluates to: Text, Literal, List or
// *Object. nil is a value that is to be left out, AWS::NoValue.
type Value interface{ isValue() }

// Text is a text.
type Text string

// Literal is a number, true, false or null as it was written.
type Literal string

// List is a list without values that are to be left out.
type List []Value

// Object has its members in their order.
type Object struct {
	Keys   []string
	Values map[string]Value
}

func (Text) isValue()    {}
func (Literal) isValue() {}
func (List) isValue()    {}
func (*Object) isValue() {}

func (o *Object) put(key string, value Value) {
	if value == nil {
		return
	}
	if _, twice := o.Values[key]; !twice {
		o.Keys = append(o.Keys, key)
	}
	o.Values[key] = value
}

// TextOf is the text of a scalar.
func TextOf(v Value) (text string, ok bool) {
	switch v := v.(type) {
	case Text:
		return string(v), true
	case Literal:
		return string(v), true
	}
	return "", false
}

// JSON is a value as encoding/json takes it.
func JSON(v Value) any {
	switch v := v.(type) {
	case Text:
		return string(v)
	case Literal:
		if json.Valid([]byte(v)) && !strings.HasPrefix(string(v), `"`) {
			return json.RawMessage(v)
		}
		return string(v) // YAML writes some numbers as JSON does not
	case List:
		out := []any{}
		for _, item := range v {
			out = append(out, JSON(item))
		}
		return out
	case *Object:
		out := map[string]any{}
		for key, value := range v.Values {
			out[key] = JSON(value)
		}
		return out
	}
	return nil
}
