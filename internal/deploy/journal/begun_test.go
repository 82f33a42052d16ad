package journal

import (
	"fmt"
	"slices"
	"testing"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

func TestWhatIsDoneAgainIsNotedOnce(t *testing.T) {
	t.Parallel()
	var steps []DoneStep
	for i := range 3 {
		ref := kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprint("c", i)}
		steps = append(steps, DoneStep{Verb: plan.VerbApply, Ref: ref, UID: "u", ResourceVersion: "1"})
	}
	job := kube.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	e := &Entry{Record: Record{Done: []DoneStep{{Verb: plan.VerbRun, Ref: job, UID: "j", Ended: true}}}}
	for range 10 {
		e.Note(steps...)
		e.Note(DoneStep{Verb: plan.VerbRun, Ref: job})
	}
	again := steps[0]
	again.ResourceVersion = "2"
	back := steps[0]
	back.Reverting = true
	e.Note(again, back)
	want := []DoneStep{{Verb: plan.VerbRun, Ref: job, UID: "j", Ended: true}, again, steps[1], steps[2], back}
	if !slices.Equal(e.Done, want) {
		t.Errorf("done %v, want %v", e.Done, want)
	}
}

func TestAFailedRevisionIsAloneWithWhatNoOtherOneKnows(t *testing.T) {
	t.Parallel()
	failed := kept(t, 1, pipeline.Failed, nil, shopSettings, shopOther)
	for name, c := range map[string]struct {
		others []*Entry
		want   bool
	}{
		"the others have all of it": {[]*Entry{kept(t, 2, pipeline.Failed, nil, shopSettings), kept(t, 3, pipeline.Failed, nil, shopOther)}, false},
		"the others have a part":    {[]*Entry{kept(t, 2, pipeline.Failed, nil, shopSettings)}, true},
		"there is no other":         {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := failed.alone(c.others); err != nil || got != c.want {
				t.Errorf("alone %t, %v, want %t", got, err, c.want)
			}
		})
	}
}
