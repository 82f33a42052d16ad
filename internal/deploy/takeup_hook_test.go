package deploy

import (
	"context"
	"errors"
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/waittest"
)

// jobs are the UIDs of the Jobs that deployments have made.
func (b *bundle) jobs(t *testing.T) []types.UID {
	t.Helper()
	items, err := b.cluster.List(t.Context(), batchv1.SchemeGroupVersion.WithKind("Job"), b.namespace, job.RunLabel)
	if err != nil {
		t.Fatal(err)
	}
	var found []types.UID
	for i := range items {
		found = append(found, items[i].GetUID())
	}
	return found
}

func TestADeploymentThatIsTakenUpFindsItsJobAgain(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(settings, "hello"), fmt.Sprintf(migration, webImage(t), "done"))
	request := b.request()
	request.TakeUp = true
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		_, err := New(b.config).Deploy(ctx, request)
		stopped <- err
	}()
	waittest.Until(t, "the Job is there", func() bool { return len(b.jobs(t)) == 1 })
	first := b.jobs(t)
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
	if d := b.deployWell(t, request); d.Revision != 1 {
		t.Errorf("a second revision was made: %+v", d)
	}
	if jobs := b.jobs(t); len(jobs) != 1 || jobs[0] != first[0] {
		t.Errorf("Jobs %v, want the first one, %v", jobs, first)
	}
}
