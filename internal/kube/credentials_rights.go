package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// Right is one verb on one resource.
type Right struct {
	Verb        string `json:"verb"`
	Group       string `json:"group,omitempty"`       // API group, empty for the core
	Resource    string `json:"resource"`              // plural, such as deployments
	Subresource string `json:"subresource,omitempty"` // such as scale
}

// newRight takes resource as RBAC writes it, as pods/log.
func newRight(verb, group, resource string) Right {
	resource, sub, _ := strings.Cut(resource, "/")
	return Right{Verb: verb, Group: group, Resource: resource, Subresource: sub}
}

// String is as "patch deployments.apps/scale".
func (r Right) String() string {
	text := r.Verb + " " + r.Resource
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	return text
}

// Identity is who a cluster takes one for.
type Identity struct {
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// WhoAmI asks the cluster whom it takes the credentials for.
func (c *Cluster) WhoAmI(ctx context.Context) (Identity, error) {
	client, err := authentication.NewForConfigAndClient(c.config, c.http)
	if err != nil {
		return Identity{}, fmt.Errorf("ask who one is: %w", err)
	}
	var review *authenticationv1.SelfSubjectReview
	err = retry(ctx, func(ctx context.Context) (err error) {
		review, err = client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return Identity{}, fmt.Errorf("ask cluster %s who one is: %w", c.Context, err)
	}
	return Identity{User: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}, nil
}

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

// DeploymentRights are the rights that a deployment needs in its namespace: the
// journal and the lease, the kinds that are commonly deployed, and the watches
// that judge a rollout. docs/deploying/clusters.md has them as a Role.
func DeploymentRights() []Right {
	const (
		read  = "get list watch"
		write = "get list watch create update patch delete"
	)
	var all []Right
	for _, line := range []struct{ group, resources, verbs string }{
		// The lease that keeps deployers apart, and the journal.
		{"coordination.k8s.io", "leases", "get create update"},
		{"", "secrets configmaps services serviceaccounts persistentvolumeclaims", write},
		{"apps", "deployments statefulsets daemonsets", write},
		{"apps", "deployments/scale statefulsets/scale", "get update patch"},
		{"batch", "jobs cronjobs", write},
		{"networking.k8s.io", "ingresses networkpolicies", write},
		{"policy", "poddisruptionbudgets", write},
		{"autoscaling", "horizontalpodautoscalers", write},
		// What tells how a rollout goes, and why it does not.
		{"apps", "replicasets", read},
		{"discovery.k8s.io", "endpointslices", read},
		{"", "events", read},
		{"", "pods", read + " create delete"}, // the prober's and the rehearsal's
		{"", "pods/log", "get"},
		// The ways to what has no address outside: the prober's, which may send
		// POST, and the rehearsal's.
		{"", "services/proxy pods/proxy pods/portforward", "get create"},
	} {
		for resource := range strings.FieldsSeq(line.resources) {
			for verb := range strings.FieldsSeq(line.verbs) {
				all = append(all, newRight(verb, line.group, resource))
			}
		}
	}
	return all
}

// HelpfulRights are rights in the whole cluster that a deployment can do
// without: it then cannot make the namespace, nor find the nodes' addresses.
func HelpfulRights() []Right {
	return []Right{newRight("get", "", "namespaces"), newRight("create", "", "namespaces"), newRight("list", "", "nodes")}
}
