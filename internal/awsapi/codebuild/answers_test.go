package codebuild_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

//go:generate sh -c "python3 ../wire/model.py --answers codebuild > answers.new && mv answers.new testdata/answers.json"

// answers is what the public model of the API says about answers.
type answers struct {
	Operations map[string]struct {
		Output string `json:"output"`
	} `json:"operations"`
	Shapes map[string]struct {
		Type    string            `json:"type"`
		Members map[string]string `json:"members"`
		Member  string            `json:"member"`
		Value   string            `json:"value"`
		Enum    []string          `json:"enum"`
	} `json:"shapes"`
}

// answersChecked holds every answer that succeeds against the model: AWS's
// command would pass over a member that it does not know.
func answersChecked(t *testing.T, next http.Handler) http.Handler {
	t.Helper()
	text, err := os.ReadFile("testdata/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var model answers
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		maps.Copy(w.Header(), recorded.Header())
		w.WriteHeader(recorded.Code)
		if recorded.Code == http.StatusOK {
			_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
			for _, wrong := range model.check(operation, model.Operations[operation].Output, recorded.Body.Bytes()) {
				t.Error(wrong)
			}
		}
		_, _ = w.Write(recorded.Body.Bytes())
	})
}

// check says what of a value a shape does not have.
func (m answers) check(at, name string, text json.RawMessage) (wrong []string) {
	shape, known := m.Shapes[name]
	if !known {
		return []string{fmt.Sprintf("%s: the model has no shape %q", at, name)}
	}
	misfit := func(err error) {
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %.200s is no %s", at, text, name))
		}
	}
	if string(bytes.TrimSpace(text)) == "null" {
		return []string{at + ": it is null"}
	}
	switch shape.Type {
	case "structure", "map":
		var members map[string]json.RawMessage
		misfit(json.Unmarshal(text, &members))
		for key, value := range members {
			below, there := shape.Members[key]
			if shape.Type == "map" {
				below, there = shape.Value, true
			}
			if !there {
				wrong = append(wrong, fmt.Sprintf("%s: %s has no member %s", at, name, key))
				continue
			}
			wrong = append(wrong, m.check(at+"."+key, below, value)...)
		}
	case "list":
		var all []json.RawMessage
		misfit(json.Unmarshal(text, &all))
		for i, one := range all {
			wrong = append(wrong, m.check(fmt.Sprintf("%s[%d]", at, i), shape.Member, one)...)
		}
	case "string":
		var value string
		misfit(json.Unmarshal(text, &value))
		if len(shape.Enum) > 0 && !slices.Contains(shape.Enum, value) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is none of %v", at, value, shape.Enum))
		}
	case "boolean":
		misfit(json.Unmarshal(text, new(bool)))
	case "integer", "long":
		misfit(json.Unmarshal(text, new(int64)))
	default: // timestamps too are numbers, of seconds
		misfit(json.Unmarshal(text, new(float64)))
	}
	return wrong
}
