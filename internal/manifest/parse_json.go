package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// parseJSON reads a file of one or several JSON values.
func parseJSON(file string, text []byte, variables map[string]string) ([]Object, error) {
	var objs []Object
	var errs []error
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objs, joinErrors(errs)
		} else if err != nil {
			return nil, jsonError(file, text, err)
		}
		start := int(decoder.InputOffset()) - len(raw)
		line, _ := position(string(text), start)
		d := &document{file: file, first: line, text: string(raw), json: true}
		var value any
		err := kjson.Unmarshal(raw, &value)
		if err != nil {
			return nil, d.errorAt(1, 1, err.Error(), "")
		}
		if value, err = d.substitute(value, variables); err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := d.objects(value)
		objs = append(objs, found...)
		if err != nil {
			errs = append(errs, err)
		}
	}
}

func jsonError(file string, text []byte, err error) error {
	d := &document{file: file, first: 1, json: true}
	offset := len(text)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(max(int(syntax.Offset)-1, 0), len(text))
	}
	line, column := position(string(text), offset)
	return d.errorAt(line, column, err.Error(), "")
}
