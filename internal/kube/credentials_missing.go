package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// MissingRights are those of wanted that the credentials do not have in the
// namespace, in the order of wanted. An empty namespace means the whole cluster.
func (c *Cluster) MissingRights(ctx context.Context, namespace string, wanted []Right) ([]Right, error) {
	client, err := authorization.NewForConfigAndClient(c.config, c.http)
	if err != nil {
		return nil, fmt.Errorf("ask for rights: %w", err)
	}
	// One request answers for most: the rules. It may be incomplete, so what
	// they do not grant is asked for one by one.
	unsure := wanted
	if namespace != "" {
		rules, err := c.rules(ctx, client, namespace)
		if err != nil {
			return nil, err
		}
		unsure = slices.DeleteFunc(slices.Clone(wanted), func(r Right) bool { return granted(rules, r) })
	}
	var mu sync.Mutex
	var missing []Right
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	for _, right := range unsure {
		group.Go(func() error {
			allowed, err := c.allowed(ctx, client, namespace, right)
			if err == nil && !allowed {
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, right)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(missing, func(a, b Right) int { return cmp.Compare(slices.Index(wanted, a), slices.Index(wanted, b)) })
	return missing, nil
}

func (c *Cluster) rules(ctx context.Context, client authorization.AuthorizationV1Interface, namespace string) ([]authorizationv1.ResourceRule, error) {
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	err := retry(ctx, func(ctx context.Context) (err error) {
		answer, err := client.SelfSubjectRulesReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil {
			review = answer
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the rights in namespace %s: %w", namespace, err)
	}
	return review.Status.ResourceRules, nil
}

func (c *Cluster) allowed(ctx context.Context, client authorization.AuthorizationV1Interface, namespace string, right Right) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: right.Verb, Group: right.Group, Resource: right.Resource, Subresource: right.Subresource,
		},
	}}
	var allowed bool
	err := retry(ctx, func(ctx context.Context) error {
		answer, err := client.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil {
			allowed = answer.Status.Allowed
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask for the right to %s: %w", right, err)
	}
	return allowed, nil
}

// granted tells whether a rule gives a right on objects of any name. A rule for
// some names only does not: which names a deployment has is not known before.
func granted(rules []authorizationv1.ResourceRule, right Right) bool {
	resources := []string{"*", right.Resource}
	if right.Subresource != "" {
		resources = []string{"*", right.Resource + "/" + right.Subresource, "*/" + right.Subresource}
	}
	return slices.ContainsFunc(rules, func(rule authorizationv1.ResourceRule) bool {
		return len(rule.ResourceNames) == 0 && hasAny(rule.Verbs, "*", right.Verb) && hasAny(rule.APIGroups, "*", right.Group) && hasAny(rule.Resources, resources...)
	})
}

func hasAny(list []string, wanted ...string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(list, w) })
}
