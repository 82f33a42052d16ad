package probe

import (
	"encoding/json"

	"github.com/towline/towline/internal/pipeline"
)

// maxVerdict is how many bytes of JSON a final verdict may have. It shares a
// Secret with the manifests of its revision.
const maxVerdict = 8 << 10

// fit makes a verdict as small as it must be: the finest detail goes first,
// the counts never. It changes the timeline.
func fit(v pipeline.Verdict, t *timeline) pipeline.Verdict {
	for v.Timeline = t.columns(); len(t.buckets) > 15 && size(v) > maxVerdict; v.Timeline = t.columns() {
		t.halve()
	}
	if size(v) > maxVerdict {
		v.Fresh.Losses, v.KeepAlive.Losses = nil, nil
	}
	for len(v.Marks) > 2 && size(v) > maxVerdict {
		v.Marks = mergeOldest(v.Marks)
	}
	return v
}

func size(v pipeline.Verdict) int {
	text, err := json.Marshal(v)
	if err != nil { // of a type that has nothing which could not be encoded
		return 0
	}
	return len(text)
}

// mergeOldest drops the oldest mark after the start, whose counts the start
// takes over: what a deployment did last is what its verdict is read for.
func mergeOldest(marks []pipeline.Mark) []pipeline.Mark {
	marks[0].Requests += marks[1].Requests
	marks[0].Lost += marks[1].Lost
	return append(marks[:1], marks[2:]...)
}
