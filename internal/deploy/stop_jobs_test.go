package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// working are the pods of Jobs that run.
func (b *bundle) working(t *testing.T) (names []string) {
	t.Helper()
	pods, err := b.cluster.Pods(t.Context(), b.namespace, batchv1.JobNameLabel)
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

// diesInItsMigration deploys a revision whose migration does not end, and stops
// the deployer while it runs.
func (b *bundle) diesInItsMigration(t *testing.T) {
	t.Helper()
	b.write(t, fmt.Sprintf(settings, "hello"), fmt.Sprintf(migration, webImage(t), "graceful"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		_, err := New(b.config).Deploy(ctx, b.request())
		stopped <- err
	}()
	waittest.Until(t, "the migration runs", func() bool { return len(b.working(t)) == 1 })
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
}

func TestTheJobOfAnInterruptedDeploymentIsStopped(t *testing.T) {
	t.Parallel()
	t.Run("before the next revision", func(t *testing.T) {
		b := setup(t)
		b.diesInItsMigration(t)
		b.write(t, fmt.Sprintf(settings, "bonjour"))
		if d := b.deployWell(t, b.request()); d.Revision != 2 {
			t.Errorf("revision %d", d.Revision)
		}
		if left := b.working(t); len(left) > 0 {
			t.Errorf("%v run beside revision 2", left)
		}
	})
	t.Run("by an abort", func(t *testing.T) {
		b := setup(t)
		b.diesInItsMigration(t)
		d, err := New(b.config).Abort(t.Context(), b.decision("anna@laptop"))
		if err != nil || d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "aborted by anna@laptop") {
			t.Errorf("%+v, %v", d, err)
		}
		if left := b.working(t); len(left) > 0 {
			t.Errorf("%v run after the abort", left)
		}
	})
}
