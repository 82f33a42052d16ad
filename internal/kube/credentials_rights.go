package kube

import "strings"

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
		{"coordination.k8s.io", "leases", "get create update delete"},
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
