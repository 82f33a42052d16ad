package job

import (
	"context"
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// Sweep deletes the Jobs that earlier deployments of an application have run
// and that have ended: those of a sequence below that one. Those of the
// present deployment stay, for it may be resumed, and would run them again.
func Sweep(ctx context.Context, config Config, namespace, app string, below int64) error {
	selector := fmt.Sprintf("%s=%s,%s,%s", manifest.AppLabel, app, manifest.SequenceLabel, RunLabel)
	jobs, err := config.Cluster.List(ctx, batchv1.SchemeGroupVersion.WithKind("Job"), namespace, selector)
	if err != nil {
		return err
	}
	for _, object := range jobs {
		sequence, err := strconv.ParseInt(object.GetLabels()[manifest.SequenceLabel], 10, 64)
		if err != nil || sequence >= below {
			continue
		}
		job, err := typed(&object)
		if err != nil {
			return err
		}
		if _, ended := concluded(job, false); !ended {
			continue
		}
		ref := kube.RefOf(&object)
		config.Log.Line("job     forget %s   %s", ref, config.Method.DeleteCommand(ref, object.GetUID()))
		if err := config.Method.Delete(ctx, ref, object.GetUID()); err != nil {
			return err
		}
	}
	return nil
}
