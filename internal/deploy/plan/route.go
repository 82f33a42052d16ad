package plan

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// BackendLabel marks the Services that stand for one set each, so that a route
// can weigh the sets against each other; its value is the Service of the
// manifests.
const BackendLabel = "towline.dev/backend"

// ByRoute lets an HTTPRoute of the Gateway API move the requests: each Service
// of a set that the route names gets a second one for this very set,
// web-5f9c2e81, and the route names that. It comes after SideBySide. The Service
// of the manifests stays for clients inside the cluster.
func ByRoute(objects []manifest.Object, name string) ([]manifest.Object, error) {
	at := slices.IndexFunc(objects, func(o manifest.Object) bool { return isRoute(o.Unstructured) && o.GetName() == name })
	if at < 0 {
		return nil, refusal.New("route: there is no HTTPRoute %s in the manifests: name one of them, or leave route out to move the requests by the Service's selector", name)
	}
	route, named := objects[at], false
	for _, service := range ServicesOf(objects, Served(objects)) {
		mark := SelectorOf(service.Unstructured)[SetLabel]
		if mark == "" || service.GetNamespace() != route.GetNamespace() {
			continue
		}
		backend := previewOf(service.Unstructured)
		labels := maps.Clone(backend.GetLabels())
		delete(labels, PreviewLabel)
		labels[BackendLabel] = service.GetName()
		backend.SetLabels(labels)
		backend.SetName(service.GetName() + "-" + mark)
		used := false
		eachBackend(route.Unstructured, func(ref map[string]any) []any {
			if ref["name"] == service.GetName() {
				ref["name"], used = backend.GetName(), true
			}
			return []any{ref}
		})
		if used {
			named = true
			objects = append(objects, manifest.Object{Unstructured: backend, Source: service.Source})
		}
	}
	if !named {
		return nil, refusal.New("%sroute: HTTPRoute %s names no Service of the application as a backend: leave route out to move the requests by the Service's selector", At(route), name)
	}
	return objects, nil
}

func isRoute(o *unstructured.Unstructured) bool {
	return o.GetKind() == "HTTPRoute" && o.GroupVersionKind().Group == "gateway.networking.k8s.io"
}

// eachBackend replaces each reference to a Service in the rules of a route by
// those that do returns for it.
func eachBackend(route *unstructured.Unstructured, do func(ref map[string]any) []any) {
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		return
	}
	for _, r := range rules {
		rule, ok := r.(map[string]any)
		if !ok {
			continue
		}
		refs, _ := rule["backendRefs"].([]any)
		var replaced []any
		for _, b := range refs {
			ref, ok := b.(map[string]any)
			if kind := ref["kind"]; !ok || kind != nil && kind != "Service" {
				replaced = append(replaced, b)
				continue
			}
			replaced = append(replaced, do(ref)...)
		}
		if len(replaced) > 0 {
			rule["backendRefs"] = replaced
		}
	}
	_ = unstructured.SetNestedSlice(route.Object, rules, "spec", "rules") // they were read from there
}

// backends are the names of the Services that a route sends requests to.
func backends(route *unstructured.Unstructured) map[string]bool {
	names := map[string]bool{}
	if route == nil {
		return names
	}
	eachBackend(route.DeepCopy(), func(ref map[string]any) []any {
		if name, ok := ref["name"].(string); ok && ref["weight"] != int64(0) {
			names[name] = true
		}
		return []any{ref}
	})
	return names
}

// blended is a route whose backends for new sets get so many percent of the
// requests, and those that they take the place of get the rest. What a backend
// takes the place of is told by the Service that both stand for.
func (c *cutover) blended(route manifest.Object, percent int64) manifest.Object {
	old := map[string]string{} // by Service of the manifests
	for name := range backends(c.Live[kube.RefOf(route.Unstructured).ID()]) {
		workload := name
		if live := c.Live[(kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: route.GetNamespace(), Name: name}).ID()]; live != nil && live.GetLabels()[BackendLabel] != "" {
			workload = live.GetLabels()[BackendLabel]
		}
		old[workload] = name
	}
	stands := map[string]string{} // for which Service of the manifests a backend stands
	for _, o := range manifest.Services(c.Desired) {
		if service := o.GetLabels()[BackendLabel]; service != "" {
			stands[o.GetName()] = service
		}
	}
	blend := manifest.Object{Unstructured: route.DeepCopy(), Source: route.Source}
	eachBackend(blend.Unstructured, func(ref map[string]any) []any {
		name, _ := ref["name"].(string)
		before := old[stands[name]]
		if before == "" || before == name {
			return []any{ref}
		}
		weight, ok := ref["weight"].(int64)
		if !ok {
			weight = 1
		}
		leaving := maps.Clone(ref)
		leaving["name"], leaving["weight"] = before, weight*(100-percent)
		ref["weight"] = weight * percent
		return []any{leaving, ref}
	})
	return blend
}

// routed tells whether a route sends requests to none but the new backends.
func (c *cutover) routed(route manifest.Object) bool {
	wanted := backends(route.Unstructured)
	for name := range backends(c.Live[kube.RefOf(route.Unstructured).ID()]) {
		if !wanted[name] {
			return false
		}
	}
	return true
}

// shift adds the writes that move the requests by the weights of routes: first
// the new backend beside the old one without a share, so that the gateway knows
// it before it counts, then one percent, then all.
func (c *cutover) shift() {
	for _, route := range c.routes {
		if c.routed(route) {
			continue
		}
		shares := []int64{0, 1, 100}
		if c.Back {
			shares = []int64{0, 100}
		}
		for _, share := range shares {
			c.weigh(c.blended(route, share), fmt.Sprintf("%d %% of the requests to the new set", share))
			if share == 1 && c.Knobs.Analysis > 0 && c.Probe != "" {
				c.add(Step{Verb: VerbAnalyse, Time: c.Knobs.Analysis, Text: fmt.Sprintf("count requests while the new set gets 1 %% of them, for %s", c.Knobs.Analysis)})
			}
		}
	}
}

// unshift adds the writes that take the old backends out of the routes.
func (c *cutover) unshift() {
	for _, route := range c.routes {
		c.weigh(route, "the new set alone")
	}
}

// weigh adds the write of a route and the wait until its gateways have taken it.
func (c *cutover) weigh(route manifest.Object, text string) {
	wave := lastWave(c.steps)
	steps := applies(c.Situation, []manifest.Object{route}, wave, false)
	for i := range steps {
		steps[i].Text, steps[i].Force = text, true
	}
	c.add(steps...)
	c.add(waitStep(c.Situation, kube.RefOf(route.Unstructured), "every gateway has accepted it and found its backends", wave+2))
}
