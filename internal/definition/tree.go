package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/goccy/go-yaml"
)

// tree is a JSON document whose mappings keep their order.
type tree struct {
	kind   treeKind
	text   string   // of a string, unquoted; of a literal, as in JSON
	keys   []string // of a mapping
	values []*tree  // of a mapping or a list
}

type treeKind int

const (
	literal treeKind = iota // a number, true, false or null
	text
	list
	mapping
)

func (t *tree) add(key string, value *tree) {
	t.keys, t.values = append(t.keys, key), append(t.values, value)
}

// treeOf reads one JSON document.
func treeOf(document []byte) (*tree, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	t, err := readTree(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one JSON value")
	}
	return t, nil
}

func readTree(decoder *json.Decoder) (*tree, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		return readTrees(decoder, v)
	case string:
		return &tree{kind: text, text: v}, nil
	case nil:
		return &tree{text: "null"}, nil
	default:
		return &tree{text: fmt.Sprint(v)}, nil
	}
}

// readTrees reads a mapping or a list behind its opening.
func readTrees(decoder *json.Decoder, opening json.Delim) (*tree, error) {
	t := &tree{kind: list}
	if opening == '{' {
		t.kind = mapping
	}
	for decoder.More() {
		if t.kind == mapping {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			t.keys = append(t.keys, fmt.Sprint(key))
		}
		value, err := readTree(decoder)
		if err != nil {
			return nil, err
		}
		t.values = append(t.values, value)
	}
	_, err := decoder.Token()
	return t, err
}

// treeOfYAML is what the YAML library has read, with its mappings in order.
func treeOfYAML(value any) (*tree, error) {
	switch v := value.(type) {
	case yaml.MapSlice:
		t := &tree{kind: mapping}
		for _, item := range v {
			below, err := treeOfYAML(item.Value)
			if err != nil {
				return nil, err
			}
			key := "null"
			if item.Key != nil {
				key = fmt.Sprint(item.Key)
			}
			t.add(key, below)
		}
		return t, nil
	case []any:
		t := &tree{kind: list}
		for _, element := range v {
			below, err := treeOfYAML(element)
			if err != nil {
				return nil, err
			}
			t.values = append(t.values, below)
		}
		return t, nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%v is no number that can be used", v)
		}
		return &tree{text: string(encode(v))}, nil
	case nil, bool, int, int64, uint64:
		return &tree{text: string(encode(v))}, nil
	case string:
		return &tree{kind: text, text: v}, nil
	}
	return &tree{kind: text, text: fmt.Sprint(value)}, nil
}

// json is the document, without white space.
func (t *tree) json() []byte {
	var out bytes.Buffer
	t.writeJSON(&out)
	return out.Bytes()
}

func (t *tree) writeJSON(out *bytes.Buffer) {
	switch t.kind {
	case literal:
		out.WriteString(t.text)
	case text:
		out.Write(encode(t.text))
	case list:
		out.WriteByte('[')
		for i, value := range t.values {
			if i > 0 {
				out.WriteByte(',')
			}
			value.writeJSON(out)
		}
		out.WriteByte(']')
	case mapping:
		out.WriteByte('{')
		for i, value := range t.values {
			if i > 0 {
				out.WriteByte(',')
			}
			out.Write(encode(t.keys[i]))
			out.WriteByte(':')
			value.writeJSON(out)
		}
		out.WriteByte('}')
	}
}
