package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// slice is one of a Service's slices with one pod.
func slice(pod string, ready bool) *discoveryv1.EndpointSlice {
	ref := &corev1.ObjectReference{Kind: "Pod", Name: pod, UID: "u"}
	return &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: ref}}}
}

func TestEndpointsOfTwoAddressFamilies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		want   Endpoint
	}{
		{"a pod in both serves", []*discoveryv1.EndpointSlice{slice("web", true), slice("web", true)}, Endpoint{Pod: "web", UID: "u", Ready: true, Reachable: true}},
		{"one that is on its way in is not ready, and gets requests", []*discoveryv1.EndpointSlice{slice("web", false), slice("web", true)}, Endpoint{Pod: "web", UID: "u", Reachable: true}},
		{"one that is on its way out gets requests still", []*discoveryv1.EndpointSlice{slice("web", true), slice("web", false)}, Endpoint{Pod: "web", UID: "u", Reachable: true}},
		{"one that has left both gets none", []*discoveryv1.EndpointSlice{slice("web", false), slice("web", false)}, Endpoint{Pod: "web", UID: "u"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]Endpoint{c.want}, Endpoints(c.slices)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}
