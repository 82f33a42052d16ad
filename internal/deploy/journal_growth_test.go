package deploy

import (
	"fmt"
	"testing"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/pipeline"
)

func TestFailuresDoNotFillTheJournal(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(settings, "hello"))
	b.deployFirst(t)
	j, err := journal.Open(t.Context(), b.cluster, "web", b.namespace)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := j.ByRevision(1).Objects()
	if err != nil {
		t.Fatal(err)
	}
	for revision := 2; revision < journal.Kept+5; revision++ {
		failed := journal.Record{Phase: journal.Ended, Deployment: pipeline.Deployment{App: "web", Namespace: b.namespace, Revision: revision, Outcome: pipeline.Failed, Reverted: true}}
		if _, err := j.Add(t.Context(), failed, objects); err != nil {
			t.Fatal(err)
		}
	}
	b.write(t, fmt.Sprintf(settings, "bonjour"), fmt.Sprintf(migration, webImage(t), "crash"))
	if d := b.deploy(t, b.request()); d.Outcome != pipeline.Failed || d.Revision != journal.Kept+5 {
		t.Fatalf("%+v", d)
	}
	if j, err = journal.Open(t.Context(), b.cluster, "web", b.namespace); err != nil {
		t.Fatal(err)
	}
	if len(j.Entries) != journal.Kept+1 || j.ByRevision(1) == nil {
		t.Errorf("%d revisions are kept, want %d: the newest, and the good one", len(j.Entries), journal.Kept+1)
	}
}
