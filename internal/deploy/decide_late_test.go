package deploy

import (
	"errors"
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/pipeline"
)

// A decision that was written in time counts, also when the deployer looks for
// it too late: its process was away, or had no time.
func TestADecisionThatWasWrittenInTimeCountsThoughTheWaitIsOver(t *testing.T) {
	b := setup(t)
	request := b.approved(t)
	request.ApprovalWait = "1ns"
	var decided error
	config := b.config
	config.reached = func(point string) {
		if point != "waiting" {
			return
		}
		j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
		decided = errors.Join(err, j.Decide(t.Context(), journal.Decision{Revision: 2, Choice: journal.Promote, By: "anna@laptop", At: time.Now()}))
	}
	d, err := New(config).Deploy(t.Context(), request)
	if err != nil || decided != nil || d.Outcome != pipeline.Succeeded {
		t.Errorf("outcome %s: %s, %v, %v", d.Outcome, d.Message, err, decided)
	}
}
