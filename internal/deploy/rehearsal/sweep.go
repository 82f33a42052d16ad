package rehearsal

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/towline/towline/internal/kube"
)

// Sweep removes the spare pods of an application that a rehearsal left because
// its process was killed. Only who holds the application's lease may call it.
func Sweep(ctx context.Context, cluster *kube.Cluster, namespace, app string) error {
	pods, err := cluster.List(ctx, corev1.SchemeGroupVersion.WithKind("Pod"), namespace, Label+"="+labelValue(app))
	if err != nil {
		return fmt.Errorf("look for spare pods: %w", err)
	}
	var errs []error
	for _, pod := range pods {
		if pod.GetDeletionTimestamp() == nil {
			errs = append(errs, cluster.Delete(ctx, kube.RefOf(&pod), pod.GetUID()))
		}
	}
	return errors.Join(errs...)
}
