package deploy

import (
	"context"
	"slices"

	"github.com/towline/towline/internal/pipeline"
)

// History are the deployments of an application that the cluster's journal
// keeps, the newest first. One that has no outcome is under way, or was left
// when its process ended.
func (d *Deployer) History(ctx context.Context, namespace, app string) ([]pipeline.Deployment, error) {
	if _, err := d.Cluster.Ping(ctx); err != nil {
		return nil, err
	}
	j, err := openJournal(ctx, d.Cluster, app, namespace)
	if err != nil {
		return nil, err
	}
	var history []pipeline.Deployment
	for _, e := range slices.Backward(j.entries) {
		history = append(history, e.Deployment)
	}
	return history, nil
}
