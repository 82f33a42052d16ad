package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// floor applies the objects with nothing around it: each of them is one
// server-side apply, kube.Parallel of them at once, by the client that Towline
// uses. There is no dry-run, no journal and no lease, and reading the files
// takes no part in the time. Whoever sends a server-side apply for each object
// needs at least so long on this machine.
func floor(ctx context.Context, m *meter, cluster *kube.Cluster, dir, namespace string) (sample, error) {
	objects, err := manifest.Load(dir, "k8s")
	if err != nil {
		return sample{}, fmt.Errorf("load the objects: %w", err)
	}
	return m.function(func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(kube.Parallel)
		for _, o := range manifest.Sort(objects) {
			o.SetNamespace(namespace)
			group.Go(func() error {
				_, err := cluster.Apply(ctx, o.Unstructured, kube.ApplyOptions{Manager: "bench"})
				return err
			})
		}
		return group.Wait()
	})
}
