package pod

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/towline/towline/internal/kube"
)

// Place is where builds run: a cluster by its name, and a namespace of it,
// "" for the default ones.
type Place struct{ Cluster, Namespace string }

// Sweep deletes the Pods that this server has made for builds which nobody
// carries on any more: live tells which keys are carried on. Other servers' Pods
// in the same place stay. It is for the start of a server, and returns how many
// it has deleted.
func (p *Backend) Sweep(ctx context.Context, place Place, live func(key string) bool) (deleted int, err error) {
	cluster, err := p.config.Connect(ctx, place.Cluster)
	if err != nil {
		return 0, fmt.Errorf("look for Pods of builds: %w", err)
	}
	if place.Namespace == "" {
		place.Namespace = p.config.Namespace
	}
	pods, err := cluster.Pods(ctx, place.Namespace, managedLabel+"="+managedBy+","+ownerLabel+"="+p.config.Owner+","+buildLabel)
	if err != nil {
		return 0, fmt.Errorf("look for Pods of builds: %w", err)
	}
	var errs []error
	for _, pod := range pods {
		key := pod.Annotations[keyAnnotation]
		if live(key) || time.Since(pod.CreationTimestamp.Time) < p.config.Young {
			continue
		}
		p.config.Log.InfoContext(ctx, "delete a Pod whose build nobody carries on", "pod", pod.Name, "namespace", pod.Namespace, "build", key)
		if err := cluster.DeletePod(ctx, pod.Namespace, pod.Name, pod.UID, grace*time.Second); err != nil && !kube.IsNotFound(err) {
			errs = append(errs, err)
			continue
		}
		deleted++
	}
	return deleted, errors.Join(errs...)
}
