package manifest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

const (
	documentStart = "---\n"
	sourceComment = "# Source: "
)

// Encode writes objs as one canonical text: a YAML stream that kubectl takes,
// whose documents are an object each as JSON on one line, with sorted keys,
// after a comment with its Source. Equal objects give equal bytes.
func Encode(objs []Object) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range objs {
		if o.Unstructured == nil || o.Object == nil {
			return nil, fmt.Errorf("encode objects: one of them is empty")
		}
		text, err := kjson.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", Ref(o.Unstructured), err)
		}
		b.WriteString(documentStart)
		if o.Source.File != "" {
			fmt.Fprintf(&b, "%s%s:%d\n", sourceComment, strconv.QuoteToASCII(o.Source.File), o.Source.Line)
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// YAML writes objs for people, as a stream of YAML documents that each name
// their Source first. For what is read again there is Encode.
func YAML(objs []Object) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range objs {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", Ref(o.Unstructured), err)
		}
		b.WriteString(documentStart)
		if o.Source.File != "" {
			fmt.Fprintf(&b, "%s%s\n", sourceComment, o.Source)
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote.
func Decode(text []byte) ([]Object, error) {
	var objs []Object
	var source Source
	for n, line := range strings.SplitAfter(string(text), "\n") {
		switch {
		case line == "":
		case line == documentStart:
			source = Source{}
		case strings.HasPrefix(line, sourceComment):
			var err error
			if source, err = decodeSource(strings.TrimSpace(line[len(sourceComment):])); err != nil {
				return nil, fmt.Errorf("decode objects: line %d: %w", n+1, err)
			}
		default:
			var object map[string]any
			if err := kjson.Unmarshal([]byte(line), &object); err != nil {
				return nil, fmt.Errorf("decode objects: line %d: %w", n+1, err)
			}
			if object == nil {
				return nil, fmt.Errorf("decode objects: line %d: not an object", n+1)
			}
			objs = append(objs, Object{Unstructured: &unstructured.Unstructured{Object: object}, Source: source})
		}
	}
	return objs, nil
}

func decodeSource(text string) (Source, error) {
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return Source{}, fmt.Errorf("read source %q: %w", text, err)
	}
	file, err := strconv.Unquote(quoted)
	if err != nil {
		return Source{}, fmt.Errorf("read source %q: %w", text, err)
	}
	line, err := strconv.Atoi(strings.TrimPrefix(text[len(quoted):], ":"))
	if err != nil {
		return Source{}, fmt.Errorf("read source %q: %w", text, err)
	}
	return Source{File: file, Line: line}, nil
}
