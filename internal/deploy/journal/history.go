package journal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	kept, err := revisions(ctx, c, namespace, app)
	if err != nil {
		return nil, err
	}
	history := make([]pipeline.Deployment, len(kept))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kube.Parallel)
	for i := range kept {
		group.Go(func() (err error) {
			history[i], err = deploymentOf(ctx, c, &kept[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	history = slices.DeleteFunc(history, func(d pipeline.Deployment) bool { return d.Revision == 0 }) // trimmed meanwhile
	slices.SortFunc(history, func(a, b pipeline.Deployment) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.Revision, a.Revision))
	})
	return history, nil
}

// revisions are the journals' Secrets without what is in them: each has all of
// a revision's manifests.
func revisions(ctx context.Context, c *kube.Cluster, namespace, app string) ([]metav1.ObjectMeta, error) {
	selector := plan.AppLabel + "," + plan.SequenceLabel
	if app != "" {
		selector = plan.AppLabel + "=" + app + "," + plan.SequenceLabel
	}
	kept, err := c.SecretsMetadata(ctx, kube.SecretQuery{Namespace: namespace, Selector: selector, Type: Type})
	if err != nil {
		return nil, fmt.Errorf("read the journals: %w", err)
	}
	return kept, nil
}

// deploymentOf is the deployment of a revision by its summary. A revision of
// before there were summaries, or whose own was too large, is read whole; one
// that is gone by then is the zero value.
func deploymentOf(ctx context.Context, c *kube.Cluster, revision *metav1.ObjectMeta) (pipeline.Deployment, error) {
	if d, ok := readSummary(revision.Annotations[summaryAnnotation]); ok {
		return d, nil
	}
	selector := plan.AppLabel + "=" + revision.Labels[plan.AppLabel] + "," + plan.SequenceLabel + "=" + revision.Labels[plan.SequenceLabel]
	secrets, err := c.Secrets(ctx, revision.Namespace, selector)
	if err != nil {
		return pipeline.Deployment{}, fmt.Errorf("read the journals: %w", err)
	}
	for i := range secrets {
		if secrets[i].Name == revision.Name {
			r, err := readRecord(&secrets[i])
			return r.told(), err
		}
	}
	return pipeline.Deployment{}, nil
}

// Namespace is where an application runs, by the cluster's journals. That
// there is none, or more than one, is an error that says which.
func Namespace(ctx context.Context, c *kube.Cluster, app string) (string, error) {
	if _, err := c.Ping(ctx); err != nil {
		return "", err
	}
	kept, err := revisions(ctx, c, "", app)
	if err != nil {
		return "", err
	}
	var namespaces []string
	for i := range kept {
		namespaces = append(namespaces, kept[i].Namespace)
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
