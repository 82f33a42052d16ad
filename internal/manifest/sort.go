package manifest

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Sort returns objs in the order in which they are applied: what others need
// comes first. Objects of the same rank keep their order.
func Sort(objs []Object) []Object {
	sorted := slices.Clone(objs)
	slices.SortStableFunc(sorted, func(a, b Object) int {
		return rank(a.GroupVersionKind().GroupKind()) - rank(b.GroupVersionKind().GroupKind())
	})
	return sorted
}

// Reverse returns objs in the order in which they are deleted: the reverse of
// Sort's, also within a rank.
func Reverse(objs []Object) []Object {
	sorted := Sort(objs)
	slices.Reverse(sorted)
	return sorted
}

// ranks is the order of application. Kinds that it does not name, custom
// resources above all, come where the zero entry is: after everything that
// they may refer to and before what lets traffic in.
var ranks = []schema.GroupKind{
	{Kind: "Namespace"},
	{Kind: "ResourceQuota"},
	{Kind: "LimitRange"},
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"},
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"},
	{Kind: "ServiceAccount"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"},
	{Group: "rbac.authorization.k8s.io", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"},
	{Kind: "Secret"},
	{Kind: "ConfigMap"},
	{Group: "storage.k8s.io", Kind: "StorageClass"},
	{Kind: "PersistentVolume"},
	{Kind: "PersistentVolumeClaim"},
	{Kind: "Service"},
	{Group: "policy", Kind: "PodDisruptionBudget"},
	{Kind: "Pod"},
	{Kind: "ReplicationController"},
	{Group: "apps", Kind: "ReplicaSet"},
	{Group: "apps", Kind: "DaemonSet"},
	{Group: "apps", Kind: "StatefulSet"},
	{Group: "apps", Kind: "Deployment"},
	{Group: "batch", Kind: "Job"},
	{Group: "batch", Kind: "CronJob"},
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"},
	{}, // all others
	{Group: "networking.k8s.io", Kind: "IngressClass"},
	{Group: "networking.k8s.io", Kind: "Ingress"},
	{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"},
	{Group: "gateway.networking.k8s.io", Kind: "Gateway"},
	{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"},
	{Group: "gateway.networking.k8s.io", Kind: "GRPCRoute"},
	{Group: "apiregistration.k8s.io", Kind: "APIService"},
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
}

func rank(gk schema.GroupKind) int {
	if i := slices.Index(ranks, gk); i >= 0 {
		return i
	}
	return slices.Index(ranks, schema.GroupKind{})
}
