package deploy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

// TestTheHistoryIsToldWithoutTheManifests makes the records unreadable: who
// lists the deployments needs none of them, unless they are of before there
// were summaries.
func TestTheHistoryIsToldWithoutTheManifests(t *testing.T) {
	b := setup(t)
	for n := range 3 {
		b.write(t, fmt.Sprintf(settings, fmt.Sprint("n", n)))
		b.deployWell(t, b.request())
	}
	history := func() []pipeline.Deployment {
		t.Helper()
		found, err := New(b.config).History(t.Context(), b.namespace, "web")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	told := history()
	if len(told) != 3 || told[0].Revision != 3 || told[0].Outcome != pipeline.Succeeded {
		t.Fatalf("the history is %+v", told)
	}
	patch := func(data map[string][]byte, annotations map[string]string) {
		t.Helper()
		secrets, err := b.cluster.Secrets(t.Context(), b.namespace, plan.AppLabel+"=web,"+plan.SequenceLabel)
		if err != nil {
			t.Fatal(err)
		}
		for i := range secrets {
			if _, err := b.cluster.PatchSecret(t.Context(), &secrets[i], data, annotations); err != nil {
				t.Fatal(err)
			}
		}
	}
	none := map[string]string{"towline.dev/deployment": ""}
	patch(nil, none)
	if diff := cmp.Diff(told, history()); diff != "" {
		t.Errorf("the records tell something else (-summaries +records):\n%s", diff)
	}
	// The next one has a summary again, beside those without.
	b.write(t, fmt.Sprintf(settings, "last"))
	b.deployWell(t, b.request())
	if found := history(); len(found) != 4 || found[0].Revision != 4 {
		t.Errorf("the history is %+v", found)
	}
	if namespace, err := New(b.config).Namespace(t.Context(), "web"); namespace != b.namespace && (err == nil || !strings.Contains(err.Error(), b.namespace)) {
		t.Errorf("the application runs in %q: %v", namespace, err)
	}
}

func TestTheHistoryDoesNotReadTheRecords(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(settings, "hello"))
	b.deployWell(t, b.request())
	secrets, err := b.cluster.Secrets(t.Context(), b.namespace, plan.AppLabel+"=web,"+plan.SequenceLabel)
	if err != nil || len(secrets) != 1 {
		t.Fatalf("%d revisions: %v", len(secrets), err)
	}
	if _, err := b.cluster.PatchSecret(t.Context(), &secrets[0], map[string][]byte{"record": []byte("no JSON")}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(t.Context(), b.cluster, "web", b.namespace); err == nil {
		t.Fatal("the journal is read all the same, so this test shows nothing")
	}
	history, err := New(b.config).History(t.Context(), b.namespace, "web")
	if err != nil || len(history) != 1 || history[0].Outcome != pipeline.Succeeded {
		t.Errorf("the history is %+v: %v", history, err)
	}
}
