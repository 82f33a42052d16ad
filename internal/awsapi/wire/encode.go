package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Encode is an answer as JSON: a struct of the SDK's, or one of the same kind.
// What is nil and what is an empty text is left out, times are seconds since
// 1970.
func Encode(answer any) ([]byte, error) {
	tree, err := encodeValue(reflect.ValueOf(answer))
	if err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}

//nolint:nilnil // null is a value of JSON
func encodeValue(value reflect.Value) (any, error) {
	switch v := value.Interface().(type) {
	case json.RawMessage:
		return v, nil
	case time.Time:
		return json.Number(strconv.FormatFloat(float64(v.UnixMilli())/1000, 'f', -1, 64)), nil
	}
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return nil, nil
		}
		return encodeValue(value.Elem())
	case reflect.Struct:
		return encodeStruct(value)
	case reflect.Map:
		tree := make(map[string]any, value.Len())
		for key, inner := range value.Seq2() {
			encoded, err := encodeValue(inner)
			if err != nil {
				return nil, err
			}
			tree[key.String()] = encoded
		}
		return tree, nil
	case reflect.Slice:
		tree := make([]any, value.Len())
		for i := range tree {
			encoded, err := encodeValue(value.Index(i))
			if err != nil {
				return nil, err
			}
			tree[i] = encoded
		}
		return tree, nil
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Int:
		return value.Interface(), nil
	}
	return nil, fmt.Errorf("encode %s: the wire has no such type", value.Type())
}

func encodeStruct(value reflect.Value) (any, error) {
	tree := map[string]any{}
	for i := range value.NumField() {
		name, ok := MemberOf(value.Type(), i)
		if !ok || missing(value.Field(i)) {
			continue
		}
		encoded, err := encodeValue(value.Field(i))
		if err != nil {
			return nil, err
		}
		tree[name] = encoded
	}
	return tree, nil
}

// missing is what is left out: numbers and truth values never are.
func missing(field reflect.Value) bool {
	switch field.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return field.IsNil()
	case reflect.String:
		return field.Len() == 0
	}
	return false
}
