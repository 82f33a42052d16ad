package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where a Service answers only for the pods of the node that is asked, its
// address on one node is no way to measure a change of its pods.
func TestWaysTo(t *testing.T) {
	t.Parallel()
	nodes := []corev1.Node{{
		ObjectMeta: metav1.ObjectMeta{Name: "node1"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}},
	}}
	port := corev1.ServicePort{Port: 80, NodePort: 30080}
	balanced := []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	local := corev1.ServiceInternalTrafficPolicyLocal
	for _, c := range []struct {
		name    string
		spec    corev1.ServiceSpec
		ingress []corev1.LoadBalancerIngress
		want    []string
		exposed bool
		aside   string
	}{
		{"that every node answers", corev1.ServiceSpec{ClusterIP: "10.1.0.1"}, nil, []string{"10.0.0.1:30080", "10.1.0.1:80"}, true, ""},
		{"that the nodes of its pods answer", corev1.ServiceSpec{ClusterIP: "10.1.0.1", ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal}, nil,
			[]string{"10.1.0.1:80"}, false, "not by its node ports, since externalTrafficPolicy is Local: a node without a pod of it drops requests"},
		{"behind a balancer that asks the nodes of its pods", corev1.ServiceSpec{ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal}, balanced,
			[]string{"192.0.2.1:80"}, true, "not by its node ports, since externalTrafficPolicy is Local: a node without a pod of it drops requests"},
		{"that only its own nodes answer", corev1.ServiceSpec{
			ClusterIP: "10.1.0.1", ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: &local,
		}, nil, nil, false, "not by its node ports, since externalTrafficPolicy is Local, nor by its cluster address, since internalTrafficPolicy is Local: a node without a pod of it drops requests"},
	} {
		t.Run("a Service "+c.name, func(t *testing.T) {
			t.Parallel()
			service := &corev1.Service{Spec: c.spec, Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: c.ingress}}}
			w := waysTo(service, port, nodes, true)
			var got []string
			for _, way := range w.candidates {
				got = append(got, way.address)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			if w.exposed != c.exposed || w.aside != c.aside {
				t.Errorf("exposed %t, aside %q", w.exposed, w.aside)
			}
		})
	}
}
