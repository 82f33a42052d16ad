package journal

import (
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Begun is what a step going forward is known to have made, nil when it is not
// known to have made anything.
func (e *Entry) Begun(verb plan.Verb, ref kube.Ref) *DoneStep {
	for i := range e.Done {
		if d := &e.Done[i]; d.Verb == verb && d.Ref.Same(ref) && !d.Reverting {
			return d
		}
	}
	return nil
}

// Note adds steps to those that are done. One that an earlier take has done as
// well is noted once: a record must not outgrow its Secret by being taken up.
func (e *Entry) Note(steps ...DoneStep) {
	type step struct {
		verb      plan.Verb
		ref       string
		reverting bool
	}
	noted := make(map[step]int, len(e.Done))
	for i, d := range e.Done {
		noted[step{d.Verb, d.Ref.ID(), d.Reverting}] = i
	}
	for _, d := range steps {
		id := step{d.Verb, d.Ref.ID(), d.Reverting}
		switch i, known := noted[id]; {
		case !known:
			noted[id] = len(e.Done)
			e.Done = append(e.Done, d)
		case d.UID != "": // The note of a hook's Job knows more than that its step is over.
			e.Done[i] = d
		}
	}
}

// Rehearsed is what the last rehearsal of a pod template, by its hash, has
// found; not ok when there was none, or when it could not measure anything.
func (j *Journal) Rehearsed(template string) (drain pipeline.Drain, ok bool) {
	for _, e := range j.Entries {
		for _, d := range e.Deployment.Drain {
			if d.Template == template && d.Unmeasured == "" {
				drain, ok = d, true
			}
		}
	}
	return drain, ok
}
