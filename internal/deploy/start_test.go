package deploy

import (
	"testing"
	"time"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Whatever a run was asked for is forgotten when it takes a revision over: that
// goes on as it was begun.
func TestWhatIsTakenOverGoesOnAsItWasBegun(t *testing.T) {
	t.Parallel()
	deployer := New(Config{Cluster: &kube.Cluster{Context: "here"}})
	entry := func(revision int, strategy string, rollbackTo int) *journal.Entry {
		return &journal.Entry{Record: journal.Record{
			Deployment: pipeline.Deployment{App: "web", Revision: revision, Strategy: strategy, Outcome: pipeline.Succeeded}, Key: "kept", Phase: journal.Ended, RollbackTo: rollbackTo,
			Settings: pipeline.Deploy{Timeout: "7m", Verify: pipeline.Verify{Path: "/kept"}},
		}}
	}
	for name, r := range map[string]*run{
		"a deployment": deployer.toDeploy(Request{Key: "asked", TakeUp: true, Deploy: pipeline.Deploy{App: "web", Timeout: "1m"}}),
		"a rollback":   deployer.toRollBack(RollbackRequest{App: "web", Verify: pipeline.Verify{Off: true}}),
		"a resumption": deployer.toResume(ResumeRequest{App: "web"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r.key == "" || r.course != (course{}) || r.record.App != "web" || r.record.Cluster != "here" || r.record.Started.IsZero() || r.measured().Resumed {
				t.Errorf("begins with key %q, course %+v and %+v", r.key, r.course, r.record)
			}
			for _, c := range []struct {
				name       string
				was        string // the strategy of the revision before
				strategy   string
				rollbackTo int
				want       course
			}{
				{"a rollback", plan.Rolling, plan.Rolling, 1, course{force: true, back: true, strategy: plan.Rolling}},
				{"a rollback that leaves sets", plan.Immutable, plan.Rolling, 1, course{force: true, back: true, strategy: plan.BlueGreen}},
				{"a rollback to sets", plan.Rolling, plan.Immutable, 1, course{force: true, back: true, strategy: plan.BlueGreen}},
				{"a deployment", plan.Rolling, plan.Rolling, 0, course{}},
			} {
				e := entry(2, c.strategy, c.rollbackTo)
				r.journal = &journal.Journal{Entries: []*journal.Entry{entry(1, c.was, 0), e}}
				r.takeOver(e)
				if r.course != c.want {
					t.Errorf("%s: course %+v, want %+v", c.name, r.course, c.want)
				}
				m := r.measured()
				if r.key != "kept" || r.timeout != 7*time.Minute || r.takeUp || r.entry != e || r.record.Revision != 2 || !m.Resumed || m.Revision != 2 || m.Verify.Path != "/kept" {
					t.Errorf("%s: goes on with key %q, timeout %s, takeUp %t, revision %d, measured %+v", c.name, r.key, r.timeout, r.takeUp, r.record.Revision, m)
				}
			}
		})
	}
}
