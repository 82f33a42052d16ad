package deploy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

func TestADeploymentIsMeasuredFromAPod(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.config.AgentImage = agentImage(t)
	inside := strings.Replace(webService, "  type: NodePort\n", "", 1)
	request := b.request()
	request.Verify = pipeline.Verify{From: "pod", Budget: 1 << 20} // What is lost on a busy machine is another test's matter.
	b.write(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready, inside)
	first := b.deployWell(t, request)
	if first.Verdict == nil || !strings.Contains(first.Verdict.Partial, "after the rollout only") || !strings.HasPrefix(first.Verdict.Via, "pod ") {
		t.Errorf("first verdict %+v", first.Verdict)
	}
	b.write(t, web(image, 2, "VERSION=2", "MODE=graceful")+ready, inside)
	second := b.deployWell(t, request)
	v := second.Verdict
	if v == nil || v.Partial != "" || v.Requests < 100 || !strings.HasPrefix(v.Via, "pod ") || v.Timeline == nil || v.Marks[1].Text != "first change" {
		t.Errorf("second verdict %+v", v)
	}
	for _, kind := range []string{"Pod", "Secret"} {
		objects, err := b.cluster.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: kind}, b.namespace, "towline.dev/prober")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if o.GetDeletionTimestamp() == nil {
				t.Errorf("%s %s of the prober is left", kind, o.GetName())
			}
		}
	}
	kept, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil || len(kept) != 2 {
		t.Fatalf("%d deployments, %v", len(kept), err)
	}
	text, err := json.Marshal(kept[0].Verdict)
	if err != nil || len(text) > 8<<10 || kept[0].Verdict.Requests != v.Requests {
		t.Errorf("the journal keeps %d bytes: %s %v", len(text), text, err)
	}
}

func TestTheSummaryTellsWhatWasNotSent(t *testing.T) {
	t.Parallel()
	d := pipeline.Deployment{Outcome: pipeline.Succeeded, Strategy: "rolling", Revision: 2, Verdict: &pipeline.Verdict{Requests: 90, NotSent: 10, Partial: "p"}}
	if got, want := resultOf(d).Summary, "rolling · revision 2 · 0 of 90 lost, 10 not sent, but see the verdict"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
}

// What a set cuts is forgiven unless it is known to cut nothing.
func TestASetMayCutConnectionsUntilItsRehearsalSaysOtherwise(t *testing.T) {
	t.Parallel()
	set := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": map[string]any{}}}}
	hash, err := plan.ContentHash(set)
	if err != nil {
		t.Fatal(err)
	}
	cuts, clean := pipeline.Drain{Template: hash}, pipeline.Drain{Template: hash, Clean: true}
	for _, c := range []struct {
		name   string
		drain  []pipeline.Drain // of the journal
		may    bool
		leaves bool // something for the hint of the verdict
	}{
		{"nobody has rehearsed it", nil, true, false},
		{"another one was rehearsed", []pipeline.Drain{{Template: "other", Clean: true}}, true, false},
		{"it cuts them", []pipeline.Drain{cuts}, true, true},
		{"it cuts none", []pipeline.Drain{clean}, false, true},
	} {
		r := &run{journal: &journal.Journal{Entries: []*journal.Entry{{Record: journal.Record{Deployment: pipeline.Deployment{Drain: c.drain}}}}}}
		if may := r.mayCut(set); may != c.may || (r.leaving != nil) != c.leaves {
			t.Errorf("%s: may cut %t, left for the hint: %+v", c.name, may, r.leaving)
		}
	}
}

func TestHowLongADeploymentMayWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		settings pipeline.Deploy
		want     time.Duration
	}{
		{"for nobody", pipeline.Deploy{ApprovalWait: "168h"}, 10*time.Minute + DefaultAnalysis + DefaultScaleDownDelay},
		{"for an approval for a day", pipeline.Deploy{Approval: true}, 24*time.Hour + 10*time.Minute + DefaultAnalysis + DefaultScaleDownDelay},
		{"for a week", pipeline.Deploy{Approval: true, ApprovalWait: "168h", Analysis: "1h", ScaleDownDelay: "1h"}, 170*time.Hour + 10*time.Minute},
	} {
		r := &run{asked: ask("", c.settings)}
		if got := r.longest(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
