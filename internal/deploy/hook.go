package deploy

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
)

// afterDeadline is how much longer than its own deadline a hook's Job is waited
// for: its controller may be a little late.
const afterDeadline = 30 * time.Second

// hook runs a Job of the deployment to its end. The journal knows it as soon as
// it is made: whoever resumes the deployment follows that very Job, and a Job
// that has gone is not made a second time.
func (r *run) hook(ctx context.Context, s plan.Step) error {
	known := r.entry.Begun(s.Verb, s.Ref)
	if known != nil && known.Ended {
		r.log.Line("        %s had ended well already", s.Ref)
		return nil
	}
	config := job.Config{
		Method: r.method, Cluster: r.Cluster, Log: r.log, Key: r.key, Unschedulable: r.Unschedulable, Now: r.Now,
		Made: func(ctx context.Context, uid types.UID) error {
			if known != nil {
				return nil
			}
			r.entry.Done = append(r.entry.Done, journal.DoneStep{Verb: s.Verb, Ref: s.Ref, UID: string(uid)})
			return r.save(ctx)
		},
	}
	if known != nil {
		config.Known = types.UID(known.UID)
	}
	defer r.limit.pause()()
	if _, err := job.Run(ctx, config, s.Object, deadlineOf(s.Object, r.timeout)+afterDeadline); err != nil {
		return err
	}
	r.entry.Begun(s.Verb, s.Ref).Ended = true
	return r.save(ctx)
}

// deadlineOf is how long a Job may run, by what is written in it.
func deadlineOf(o *unstructured.Unstructured, otherwise time.Duration) time.Duration {
	seconds, found, err := unstructured.NestedInt64(o.Object, "spec", "activeDeadlineSeconds")
	if err != nil || !found {
		return otherwise
	}
	return time.Duration(seconds) * time.Second
}
