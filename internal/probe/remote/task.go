// Package remote is a prober in another process, such as one in a pod: Serve
// runs it there and answers over HTTP, Attach follows and commands it from
// here. The counting is there. Whoever attaches may lose the connection, or
// die, and attach again: nothing that was counted is lost.
//
// The room knows HTTP, nothing of Kubernetes: the way from here to there is a
// transport that is handed in.
package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// TaskVariable is the variable of the environment in which a task is handed
// over. It is no argument of the program, since those can be read by everybody
// on its machine.
const TaskVariable = "TOWLINE_PROBE_TASK"

// maxTask is how long the JSON of a task may be: it must go into an
// environment variable.
const maxTask = 96 << 10

// minToken is the least length of a token.
const minToken = 20

// Task is what the prober there is told. Its JSON may hold secrets, in a
// header or in the URL, beside the token: keep it in a Secret.
type Task struct {
	URL     string            `json:"url"`
	Method  string            `json:"method,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Body    string            `json:"body,omitempty"`
	Rate    int               `json:"rate,omitempty"` // per second
	Timeout time.Duration     `json:"timeout,omitempty"`
	// Patience is how long to wait at first for the target to take a
	// connection: a Service that is new may not be known everywhere yet.
	Patience time.Duration `json:"patience,omitempty"`
	Via      string        `json:"via,omitempty"` // of the verdict
	Token    string        `json:"token"`         // whoever asks must know it
}

// Encode is the task as text.
func (t Task) Encode() (string, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode the prober's task: %w", err)
	}
	if len(text) > maxTask {
		return "", fmt.Errorf("the request to probe with takes %d KiB with its body and header: %d KiB is the most", len(text)>>10, maxTask>>10)
	}
	return string(text), nil
}

// ParseTask reads a task.
func ParseTask(text []byte) (Task, error) {
	var t Task
	if len(text) > maxTask {
		return t, fmt.Errorf("the prober's task has %d KiB: %d KiB is the most", len(text)>>10, maxTask>>10)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		// Without the error's text, which may show part of a secret.
		return t, errors.New("the prober's task is not the JSON of one")
	}
	if len(t.Token) < minToken {
		return t, fmt.Errorf("the token of the prober's task has fewer than %d characters", minToken)
	}
	return t, nil
}

func (t Task) config(log *slog.Logger) probe.Config {
	header := http.Header{}
	for name, value := range t.Header {
		header.Set(name, value)
	}
	return probe.Config{
		URL: t.URL, Method: t.Method, Header: header, Body: t.Body, Rate: t.Rate, Timeout: t.Timeout, Via: t.Via, Logger: log,
	}
}

// Report is what the prober there has counted.
type Report struct {
	Verdict pipeline.Verdict `json:"verdict"`
	Final   bool             `json:"final,omitempty"` // no more requests are sent
	Time    time.Time        `json:"time"`            // by the clock there
}

// ParseReport reads a report, such as the last line of the log there.
func ParseReport(text []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read the prober's report: %w", err)
	}
	if r.Time.IsZero() {
		return r, errors.New("read the prober's report: it has no time")
	}
	return r, nil
}
