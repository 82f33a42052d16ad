package journal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// History are the deployments that the cluster's journals keep, the newest
// first: of one application or, when app is "", of all, in one namespace or,
// when namespace is "", in all. One that has no outcome is under way, or was
// left when its process ended.
func History(ctx context.Context, c *kube.Cluster, namespace, app string) ([]pipeline.Deployment, error) {
	if _, err := c.Ping(ctx); err != nil {
		return nil, err
	}
	selector := plan.AppLabel + "," + plan.SequenceLabel
	if app != "" {
		selector = plan.AppLabel + "=" + app + "," + plan.SequenceLabel
	}
	secrets, err := c.Secrets(ctx, namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("read the journals: %w", err)
	}
	var history []pipeline.Deployment
	for i := range secrets {
		if secrets[i].Type != Type {
			continue
		}
		r, err := readRecord(&secrets[i])
		if err != nil {
			return nil, err
		}
		r.Deployment.Waiting = !r.Waiting.IsZero() && r.Phase == Deploying
		history = append(history, r.Deployment)
	}
	slices.SortFunc(history, func(a, b pipeline.Deployment) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.Revision, a.Revision))
	})
	return history, nil
}

// Namespace is where an application runs, by the cluster's journals. That
// there is none, or more than one, is an error that says which.
func Namespace(ctx context.Context, c *kube.Cluster, app string) (string, error) {
	history, err := History(ctx, c, "", app)
	if err != nil {
		return "", err
	}
	var namespaces []string
	for _, one := range history {
		namespaces = append(namespaces, one.Namespace)
	}
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	switch len(namespaces) {
	case 0:
		return "", fmt.Errorf("no namespace of cluster %s has deployments of %s: see \"towline deployments\"", c.Context, app)
	case 1:
		return namespaces[0], nil
	}
	return "", fmt.Errorf("%s runs in namespaces %s: choose one with --namespace", app, strings.Join(namespaces, ", "))
}
