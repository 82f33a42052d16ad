package deploy

import (
	"context"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/pipeline"
)

// History are the deployments that the cluster's journals keep; see
// journal.History.
func (d *Deployer) History(ctx context.Context, namespace, app string) ([]pipeline.Deployment, error) {
	return journal.History(ctx, d.Cluster, namespace, app)
}

// Namespace is where an application runs; see journal.Namespace.
func (d *Deployer) Namespace(ctx context.Context, app string) (string, error) {
	return journal.Namespace(ctx, d.Cluster, app)
}
