package kube

import discoveryv1 "k8s.io/api/discovery/v1"

// Endpoint is one address behind a Service.
type Endpoint struct {
	Pod         string // name of the pod, empty when no pod is behind it
	UID         string // of the pod
	Ready       bool   // in each slice that has it: it gets its share of all requests
	Reachable   bool   // ready in one slice at least: it gets requests
	Terminating bool
}

// Endpoints are the endpoints of a Service's slices, each pod once: a Service
// with two address families has two slices of the same pods.
func Endpoints(slices []*discoveryv1.EndpointSlice) []Endpoint {
	var all []Endpoint
	seen := map[string]int{}
	for _, slice := range slices {
		for _, e := range slice.Endpoints {
			endpoint := Endpoint{
				Ready:       e.Conditions.Ready == nil || *e.Conditions.Ready,
				Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating,
			}
			endpoint.Reachable = endpoint.Ready
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				endpoint.Pod, endpoint.UID = e.TargetRef.Name, string(e.TargetRef.UID)
			}
			if i, ok := seen[endpoint.UID]; ok && endpoint.UID != "" {
				all[i].Ready = all[i].Ready && endpoint.Ready
				all[i].Reachable = all[i].Reachable || endpoint.Reachable
				all[i].Terminating = all[i].Terminating || endpoint.Terminating
				continue
			}
			seen[endpoint.UID] = len(all)
			all = append(all, endpoint)
		}
	}
	return all
}
