package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// sample is one value of an instant query.
type sample struct {
	labels string // {pod="a"}, empty for a scalar
	value  float64
}

func (s sample) String() string { return strings.TrimSpace(s.labels + " " + number(s.value)) }

// queryError is what Prometheus says of a query that it does not answer.
type queryError struct {
	code    int
	kind    string // bad_data, execution, timeout, ...
	message string
}

func (e *queryError) Error() string {
	if e.kind == "" {
		return fmt.Sprintf("status %d %s, which is no answer of Prometheus: %s", e.code, http.StatusText(e.code), e.message)
	}
	return fmt.Sprintf("an error of Prometheus, %s: %s", e.kind, e.message)
}

// shapeError is an answer to another kind of query.
type shapeError struct{ message string }

func (e *shapeError) Error() string { return e.message }

// hopeless tells whether the same query will be answered the same.
func hopeless(err error) bool {
	if failed, ok := errors.AsType[*queryError](err); ok {
		return failed.kind == "bad_data" || (failed.code >= 400 && failed.code < 500 && failed.code != http.StatusTooManyRequests &&
			failed.code != http.StatusRequestTimeout && failed.kind != "execution")
	}
	_, shape := errors.AsType[*shapeError](err)
	return shape
}

// parseSamples reads the answer to an instant query: a vector or a scalar.
func parseSamples(code int, body []byte) ([]sample, error) {
	var envelope struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
		Data      struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	err := json.Unmarshal(body, &envelope)
	switch {
	case err == nil && envelope.Status == "error":
		return nil, &queryError{code: code, kind: envelope.ErrorType, message: excerpt(envelope.Error)}
	case err != nil || envelope.Status != "success" || code != http.StatusOK:
		return nil, &queryError{code: code, message: fmt.Sprintf("%q", excerpt(string(body)))}
	}
	switch envelope.Data.ResultType {
	case "vector":
		return parseVector(envelope.Data.Result)
	case "scalar":
		value, err := parseValue(envelope.Data.Result)
		return []sample{{value: value}}, err
	case "matrix":
		return nil, &shapeError{"a range of values: take the [...] out of the query, or put a function such as rate() or max_over_time() around it"}
	}
	return nil, &shapeError{fmt.Sprintf("a %s, which has no value to hold against limits", envelope.Data.ResultType)}
}

func parseVector(result json.RawMessage) ([]sample, error) {
	var vector []struct {
		Metric    map[string]string `json:"metric"`
		Value     json.RawMessage   `json:"value"`
		Histogram json.RawMessage   `json:"histogram"`
	}
	if err := json.Unmarshal(result, &vector); err != nil {
		return nil, fmt.Errorf("an answer that cannot be read: %w", err)
	}
	samples := make([]sample, 0, len(vector))
	for _, entry := range vector {
		if entry.Value == nil && entry.Histogram != nil {
			return nil, &shapeError{"a histogram: put histogram_quantile() or histogram_count() around the query"}
		}
		value, err := parseValue(entry.Value)
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{labels: labelText(entry.Metric), value: value})
	}
	return samples, nil
}

// parseValue reads [seconds, "value"].
func parseValue(raw json.RawMessage) (float64, error) {
	var pair []json.RawMessage
	var text string
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return 0, fmt.Errorf("an answer that cannot be read: %q is no sample", excerpt(string(raw)))
	}
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return 0, fmt.Errorf("an answer that cannot be read: %w", err)
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("an answer that cannot be read: %q is no number", excerpt(text))
	}
	return value, nil
}

// labelText is a series as PromQL writes it.
func labelText(metric map[string]string) string {
	name := metric["__name__"]
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(metric)) {
		if key != "__name__" {
			pairs = append(pairs, key+"="+strconv.Quote(metric[key]))
		}
	}
	if len(pairs) == 0 && name != "" {
		return name
	}
	return excerpt(name + "{" + strings.Join(pairs, ", ") + "}")
}
