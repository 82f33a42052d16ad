package deploy

import (
	"context"

	"github.com/towline/towline/internal/deploy/check"
	"github.com/towline/towline/internal/deploy/plan"
)

// question asks a check of the deployment.
func (r *run) question(ctx context.Context, s plan.Step) error {
	defer r.limit.pause()() // A check has a timeout of its own.
	result, err := check.Run(ctx, check.Config{
		Cluster: r.Cluster, Method: r.method, Log: r.log, App: r.record.App, Namespace: r.record.Namespace,
		Set: s.Set, Service: s.Ref.Name, Jobs: r.situation.Checks, Sequence: int64(r.record.Revision), Key: r.key + "/" + s.Place, Now: r.Now,
	}, *s.Check)
	if err != nil {
		return err
	}
	r.log.Line("        %s: %s answered %s", result.Name, result.Asked, result.Answered)
	return nil
}
