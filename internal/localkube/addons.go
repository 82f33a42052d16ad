package localkube

import (
	"context"
	"fmt"
)

type object = map[string]any

// addons are the objects that the cluster needs and Kubernetes does not make
// by itself, by path.
func addons(l layout) []struct {
	path   string
	object object
} {
	rbac := "/apis/rbac.authorization.k8s.io/v1/"
	services := "/api/v1/namespaces/kube-system/services/kube-dns"
	slices := "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-host"
	return []struct {
		path   string
		object object
	}{
		{rbac + "clusterroles/towline:coredns", object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
			"metadata": object{"name": "towline:coredns"},
			"rules": []object{
				{"apiGroups": []string{""}, "resources": []string{"services", "namespaces"}, "verbs": []string{"list", "watch"}},
				{"apiGroups": []string{"discovery.k8s.io"}, "resources": []string{"endpointslices"}, "verbs": []string{"list", "watch"}},
			},
		}},
		{rbac + "clusterrolebindings/towline:coredns", binding("towline:coredns", "towline:coredns", "towline:coredns")},
		// The API server asks kubelets for logs and the like under this name.
		{rbac + "clusterrolebindings/towline:apiserver", binding("towline:apiserver", "system:kubelet-api-admin", "towline:apiserver")},
		{services, object{
			"apiVersion": "v1", "kind": "Service",
			"metadata": object{"name": "kube-dns", "namespace": "kube-system", "labels": object{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
			"spec": object{
				"clusterIP": l.dnsService().String(),
				// No selector: CoreDNS is not a pod but a process beside the API server.
				"ports": []object{
					{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": dnsPort},
					{"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": dnsPort},
				},
			},
		}},
		{slices, object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
			"metadata": object{"name": "kube-dns-host", "namespace": "kube-system", "labels": object{
				"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "towline-cluster",
			}},
			"addressType": "IPv4",
			"ports": []object{
				{"name": "dns", "port": dnsPort, "protocol": "UDP"},
				{"name": "dns-tcp", "port": dnsPort, "protocol": "TCP"},
			},
			"endpoints": []object{{"addresses": []string{l.host().String()}, "conditions": object{"ready": true}}},
		}},
	}
}

func binding(name, role, user string) object {
	return object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": object{"name": name},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
		"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}},
	}
}

func applyAddons(ctx context.Context, a *api, l layout) error {
	for _, addon := range addons(l) {
		if err := a.apply(ctx, addon.path, addon.object); err != nil {
			return fmt.Errorf("set up DNS and access: %w", err)
		}
	}
	return nil
}
