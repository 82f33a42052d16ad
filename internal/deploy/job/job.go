// Package job runs one Job of a deployment to its end: a migration before the
// workloads are touched, a task after them, a check's question. Its noun is
// the run of a Job. deploy and check call it with a Job that
// manifest.UniqueJob has named.
//
// A run is made once. It is found again by a label with the deployment's key,
// so that a deployer which is killed and started again goes on with the Job it
// made, and a Job that another deployment has left under the same name is
// neither taken for this one nor a reason to leave it out.
//
// It knows no plan, no journal and no strategy. Its credentials need to get,
// list, watch, create and delete jobs, to list and watch pods, to list events
// and to get pods/log.
package job

import (
	"cmp"
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// Method writes to the cluster: *kube.Cluster, or kubectl. Its calls are not
// concurrent. Create's errors are as kube.Cluster.Create's; after an error
// nothing, or the whole object, is there.
type Method interface {
	Create(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error)
	CreateCommand(ref kube.Ref) string
	Delete(ctx context.Context, ref kube.Ref, uid types.UID) error
	DeleteCommand(ref kube.Ref, uid types.UID) string
}

var _ Method = (*kube.Cluster)(nil)

// defaultUnschedulable is how long a pod of the Job may find no node.
const defaultUnschedulable = time.Minute

// Config is what a run needs to know.
type Config struct {
	Method  Method
	Cluster *kube.Cluster
	Log     *runbook.Runbook
	// Key names what the Job runs for: the deployment, and the question that a
	// check asks. The same key finds the same Job again.
	Key string
	// Known is the UID of the Job that an earlier process made for this run, as
	// the journal has it; empty when it has none. When that Job is gone,
	// nobody knows what it has done, and no second one is made.
	Known types.UID
	// Made, when it is set, is called with the Job's UID before it is waited
	// for. Its error ends the run; the Job goes on.
	Made func(ctx context.Context, uid types.UID) error
	// Unschedulable is how long a pod may find no node, default a minute.
	Unschedulable time.Duration
	// Now is the clock, default time.Now.
	Now func() time.Time
}

// Done is a Job that has ended well.
type Done struct {
	Name    string    // in the cluster
	UID     types.UID // likewise
	Found   bool      // an earlier process had made it
	Seconds float64   // from its creation until it was seen to have ended
	// Tail is the end of its pods' logs, kept from before the Job is deleted: at
	// most tailLines lines.
	Tail string
}

// Run makes the Job, unless it is there already, and returns when it has
// ended. A refusal says why it has not ended well, with the last lines of its
// log: it failed, its pods cannot start, somebody deleted it, or it took longer
// than the deadline, which counts from its creation; then it is deleted. Any
// other error leaves it running, to be found by the next call with the same
// key, except where ctx ends with a refusal as its cause: then the deployment
// has failed, and the Job is deleted as well.
func Run(ctx context.Context, config Config, object *unstructured.Unstructured, deadline time.Duration) (Done, error) {
	if ref := kube.RefOf(object); ref.GVK().GroupKind() != batchv1.SchemeGroupVersion.WithKind("Job").GroupKind() {
		return Done{}, fmt.Errorf("run %s: it is no Job", ref)
	}
	config.Unschedulable = cmp.Or(config.Unschedulable, defaultUnschedulable)
	if config.Now == nil {
		config.Now = time.Now
	}
	begin := config.Now()
	made, found, err := config.provide(ctx, object)
	if err != nil {
		return Done{}, err
	}
	if config.Made != nil {
		if err := config.Made(ctx, made.GetUID()); err != nil {
			return Done{}, err
		}
	}
	if found {
		begin = made.GetCreationTimestamp().Time
	}
	ref := kube.RefOf(made)
	limited, cancel := context.WithDeadlineCause(ctx, begin.Add(deadline),
		refusal.Deadline("%s has not ended within %s", ref, deadline))
	defer cancel()
	f := newFollowing(limited, config, made)
	defer f.stop()
	err = f.wait(limited)
	patience := lastLines
	if err != nil && !refusal.Is(err) {
		patience = 0 // The Job goes on, and so does its log.
	}
	f.logs.close(patience)
	if err != nil {
		return Done{}, f.ended(err)
	}
	return Done{Name: ref.Name, UID: made.GetUID(), Found: found, Tail: f.logs.tail(),
		Seconds: f.end.Sub(made.GetCreationTimestamp().Time).Seconds()}, nil
}
