package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"
	"unicode"
	"unicode/utf8"
)

// Parse reads a request's body: one JSON object, with numbers as they were
// written. The error says what is wrong with it, and repeats nothing of it.
func Parse(body []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var request map[string]any
	err := decoder.Decode(&request)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			err = nil
		} else {
			err = errors.New("more text follows the object")
		}
	}
	if err != nil || request == nil {
		return nil, Faultf("SerializationException", "The body of the request is not one JSON object.")
	}
	return request, nil
}

// Decode fills target, a pointer to one of the SDK's structs or one of the same
// kind, from a request that has been checked. A member is the field's name with
// a small first letter; a json.RawMessage takes its member as it is.
func Decode(request map[string]any, target any) error {
	return decodeStruct(request, reflect.ValueOf(target).Elem())
}

func decodeStruct(request map[string]any, target reflect.Value) error {
	for i := range target.NumField() {
		name, ok := MemberOf(target.Type(), i)
		if !ok || request[name] == nil {
			continue
		}
		if err := decodeValue(request[name], target.Field(i)); err != nil {
			return fmt.Errorf("decode %s: %w", name, err)
		}
	}
	return nil
}

func decodeValue(value any, target reflect.Value) error {
	switch place := target.Addr().Interface().(type) {
	case *json.RawMessage:
		text, err := json.Marshal(value)
		*place = text
		return err
	case *time.Time:
		number, ok := value.(json.Number)
		if !ok {
			return unfit(value, target)
		}
		seconds, err := number.Float64()
		*place = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
		return err
	}
	switch v := value.(type) {
	case string:
		return decodeText(v, target)
	case json.Number:
		return decodeNumber(v, target)
	case bool:
		return decodeBool(v, target)
	case map[string]any:
		return decodeObject(v, target)
	case []any:
		return decodeList(v, target)
	}
	return unfit(value, target)
}

// settled follows a pointer, and makes what it points to.
func settled(target reflect.Value) reflect.Value {
	if target.Kind() != reflect.Pointer {
		return target
	}
	target.Set(reflect.New(target.Type().Elem()))
	return target.Elem()
}

func decodeText(value string, target reflect.Value) error {
	if target = settled(target); target.Kind() != reflect.String {
		return unfit(value, target)
	}
	target.SetString(value)
	return nil
}

func decodeBool(value bool, target reflect.Value) error {
	if target = settled(target); target.Kind() != reflect.Bool {
		return unfit(value, target)
	}
	target.SetBool(value)
	return nil
}

func decodeNumber(value json.Number, target reflect.Value) error {
	target = settled(target)
	if _, ok := reflect.TypeAssert[time.Time](target); ok {
		return decodeValue(value, target)
	}
	n, err := value.Int64()
	if err != nil || !target.CanInt() || target.OverflowInt(n) {
		return unfit(value, target)
	}
	target.SetInt(n)
	return nil
}

func decodeObject(value map[string]any, target reflect.Value) error {
	target = settled(target)
	switch target.Kind() {
	case reflect.Struct:
		return decodeStruct(value, target)
	case reflect.Map:
		target.Set(reflect.MakeMapWithSize(target.Type(), len(value)))
		for key, inner := range value {
			place := reflect.New(target.Type().Elem()).Elem()
			if err := decodeValue(inner, place); err != nil {
				return fmt.Errorf("decode %q: %w", key, err)
			}
			target.SetMapIndex(reflect.ValueOf(key).Convert(target.Type().Key()), place)
		}
		return nil
	}
	return unfit(value, target)
}

func decodeList(value []any, target reflect.Value) error {
	if target = settled(target); target.Kind() != reflect.Slice {
		return unfit(value, target)
	}
	target.Set(reflect.MakeSlice(target.Type(), len(value), len(value)))
	for i, inner := range value {
		if err := decodeValue(inner, target.Index(i)); err != nil {
			return fmt.Errorf("decode %d: %w", i, err)
		}
	}
	return nil
}

// unfit repeats no value: it may be a secret.
func unfit(value any, target reflect.Value) error {
	return fmt.Errorf("a %T does not fit a %s", value, target.Type())
}

// MemberOf is the name that a struct's field has on the wire. It is not ok for
// what is not on the wire.
func MemberOf(of reflect.Type, i int) (name string, ok bool) {
	field := of.Field(i)
	if !field.IsExported() || field.Name == "ResultMetadata" {
		return "", false
	}
	if capital(of.Name(), field.Name) {
		return field.Name, true
	}
	first, size := utf8.DecodeRuneInString(field.Name)
	return string(unicode.ToLower(first)) + field.Name[size:], true
}

// capital says which members start with a capital letter: webhooks came to the
// API with other habits.
func capital(of, field string) bool {
	switch of + "." + field {
	case "ListWebhooksInput.NextToken", "ListWebhooksInput.MaxResults", "ListWebhooksOutput.NextToken",
		"WebhookAuthConfiguration.AllowedIPRange", "WebhookAuthConfiguration.SecretToken":
		return true
	}
	return false
}
