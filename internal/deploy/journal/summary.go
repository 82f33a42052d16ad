package journal

import (
	"encoding/json"
	"fmt"

	"github.com/towline/towline/internal/pipeline"
)

// summaryAnnotation holds the JSON of a revision's deployment as the history
// tells it, so that a history can be had without the manifests that stand in
// the same Secret. It is written together with the record, which it repeats.
const (
	summaryAnnotation = "towline.dev/deployment"
	maxSummary        = 64 << 10 // of the 256 KiB that all annotations of an object may have
)

// told is the deployment as the history tells it.
func (r *Record) told() pipeline.Deployment {
	d := r.Deployment
	d.Waiting = !r.Waiting.IsZero() && r.Phase == Deploying
	return d
}

// summarize makes the annotation, "" when it would be too large: the record is
// read instead.
func summarize(r Record) (string, error) {
	text, err := json.Marshal(r.told())
	if err != nil {
		return "", fmt.Errorf("encode revision %d: %w", r.Deployment.Revision, err)
	}
	if len(text) > maxSummary {
		return "", nil
	}
	return string(text), nil
}

// readSummary is not ok when there is none, or none that can be read.
func readSummary(text string) (d pipeline.Deployment, ok bool) {
	if text == "" || json.Unmarshal([]byte(text), &d) != nil {
		return pipeline.Deployment{}, false
	}
	return d, d.Revision > 0
}
