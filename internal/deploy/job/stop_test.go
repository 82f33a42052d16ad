package job

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/waittest"
)

func TestStop(t *testing.T) {
	t.Parallel()
	cluster := kubetest.Connect(t)
	s := &stand{cluster: cluster, namespace: kubetest.Namespace(t, cluster), image: imagetest.Serve(t, cluster, "testdata/task"), log: &waittest.Log{}}
	for key, sequence := range map[string]int64{"six": 6, "seven": 7} {
		if _, _, err := s.config(key).provide(t.Context(), s.job(t, "hang", sequence)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Run(t.Context(), s.config("ended"), s.job(t, "done", 7), plenty); err != nil {
		t.Fatal(err)
	}
	running := func() (names []string) {
		pods, err := cluster.Pods(t.Context(), s.namespace, batchv1.JobNameLabel)
		if err != nil {
			t.Fatal(err)
		}
		for i := range pods {
			if pods[i].Status.Phase == "Running" {
				names = append(names, pods[i].Name)
			}
		}
		return names
	}
	waittest.Until(t, "both Jobs that hang run", func() bool { return len(running()) == 2 })

	if err := Stop(t.Context(), s.config(""), s.namespace, "web", 7); err != nil {
		t.Fatal(err)
	}
	if left := running(); len(left) != 1 || !strings.HasPrefix(left[0], "migrate-6-") {
		t.Errorf("%v run, want the Job of revision 6 alone", left)
	}
	waittest.Until(t, "the Job of revision 6 and the one that has ended are there", func() bool { return len(s.jobs(t)) == 2 })
	if err := Stop(t.Context(), s.config(""), s.namespace, "web", 7); err != nil {
		t.Errorf("stopped again: %v", err)
	}

	// A pod that does not go is no reason to wait for ever, nor to go on.
	f := newFollowing(t.Context(), s.config(""), s.first(t, "migrate-6-"))
	defer f.stop()
	if err := f.untilQuiet(t.Context(), time.Millisecond); !refusal.Is(err) || !strings.Contains(err.Error(), "still runs after") {
		t.Errorf("error %v, want a refusal", err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	lost := errors.New("the lease was lost")
	end(lost)
	if err := f.untilQuiet(ctx, plenty); !errors.Is(err, lost) || refusal.Is(err) {
		t.Errorf("error %v, want that the lease was lost", err)
	}
}

// first is the first Job whose name begins so.
func (s *stand) first(t *testing.T, prefix string) *unstructured.Unstructured {
	t.Helper()
	for _, job := range s.jobs(t) {
		if strings.HasPrefix(job.GetName(), prefix) {
			return &job
		}
	}
	t.Fatalf("there is no Job %s...", prefix)
	return nil
}
