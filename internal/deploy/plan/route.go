package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
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
		backend := backendOf(service.Unstructured, mark)
		used := false
		eachBackend(route.Unstructured, func(ref map[string]any) {
			if ref["name"] == service.GetName() {
				ref["name"], used = backend.GetName(), true
			}
		})
		if used {
			if err := nameable(service, backend.GetName(), "the route"); err != nil {
				return nil, err
			}
			named = true
			objects = append(objects, manifest.Object{Unstructured: backend, Source: service.Source})
		}
	}
	if !named {
		return nil, refusal.New("%sroute: HTTPRoute %s names no Service of the application as a backend: leave route out to move the requests by the Service's selector", At(route), name)
	}
	return objects, nil
}

// backendOf is the Service that stands for one set of a Service.
func backendOf(service *unstructured.Unstructured, mark string) *unstructured.Unstructured {
	backend := previewOf(service)
	labels := backend.GetLabels()
	delete(labels, PreviewLabel)
	labels[BackendLabel] = service.GetName()
	backend.SetLabels(labels)
	backend.SetName(service.GetName() + "-" + mark)
	return backend
}

func isRoute(o *unstructured.Unstructured) bool {
	return o.GetKind() == "HTTPRoute" && o.GroupVersionKind().Group == "gateway.networking.k8s.io"
}

// eachRule replaces the backends of each rule of a route by what do returns
// for them.
func eachRule(route *unstructured.Unstructured, do func(refs []any) []any) {
	rules, found, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil || !found {
		return
	}
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		if refs, ok := rule["backendRefs"].([]any); ok {
			rule["backendRefs"] = do(refs)
		}
	}
	_ = unstructured.SetNestedSlice(route.Object, rules, "spec", "rules") // they were read from there
}

// eachBackend lets do see, and change, each reference of a route to a Service
// in its own namespace.
func eachBackend(route *unstructured.Unstructured, do func(ref map[string]any)) {
	eachRule(route, func(refs []any) []any {
		for _, r := range refs {
			if ref := localService(route, r); ref != nil {
				do(ref)
			}
		}
		return refs
	})
}

// localService is a backend as the reference to a Service in the namespace of
// the route, nil when it is anything else.
func localService(route *unstructured.Unstructured, backend any) map[string]any {
	ref, ok := backend.(map[string]any)
	is := func(field, value string) bool { return ref[field] == nil || ref[field] == value }
	if !ok || !is("kind", "Service") || !is("group", "") || !is("namespace", route.GetNamespace()) {
		return nil
	}
	return ref
}

// backends are the references of a route to Services, by their name. A route
// that is not there has none.
func backends(route *unstructured.Unstructured) map[string][]map[string]any {
	found := map[string][]map[string]any{}
	if route == nil {
		return found
	}
	eachBackend(route.DeepCopy(), func(ref map[string]any) {
		if name, ok := ref["name"].(string); ok {
			found[name] = append(found[name], ref)
		}
	})
	return found
}

// weightOf is the weight of a reference; none said means one.
func weightOf(ref map[string]any) int64 {
	if weight, ok := ref["weight"].(int64); ok {
		return weight
	}
	return 1
}

// weighs tells whether a route moves requests from set to set: it names a
// Service that stands for one set, or does so in the cluster.
func (c *cutover) weighs(route manifest.Object) bool {
	for name := range backends(route.Unstructured) {
		if c.standsFor(route, name) != name {
			return true
		}
	}
	for name := range backends(c.liveRoute(route)) {
		if c.standsFor(route, name) != name {
			return true
		}
	}
	return false
}

func (c *cutover) liveRoute(route manifest.Object) *unstructured.Unstructured {
	return c.Live[kube.RefOf(route.Unstructured).ID()]
}

// standsFor is the Service of the manifests that a backend of a route stands
// for: itself, unless it is one for a single set.
func (c *cutover) standsFor(route manifest.Object, name string) string {
	ref := kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: route.GetNamespace(), Name: name}
	service := c.Live[ref.ID()]
	if o, ok := c.backend(route, name); ok {
		service = o.Unstructured
	}
	if service == nil {
		return name
	}
	return cmp.Or(service.GetLabels()[BackendLabel], name)
}

// backend is the desired Service of that name which a route can send requests
// to.
func (c *cutover) backend(route manifest.Object, name string) (manifest.Object, bool) {
	return manifest.Find(c.Desired, manifest.ID{Kind: "Service", Namespace: route.GetNamespace(), Name: name})
}

// leaving are, by the name of the desired backend that takes their place, the
// references of the live route that get requests now and are to get none.
// Where an interrupted deployment has left several, the one with the most
// requests is meant.
func (c *cutover) leaving(route manifest.Object) map[string][]map[string]any {
	wanted, live := backends(route.Unstructured), backends(c.liveRoute(route))
	total := func(name string) (sum int64) {
		for _, ref := range live[name] {
			sum += weightOf(ref)
		}
		return sum
	}
	busiest := map[string]string{} // by the Service that they stand for
	for _, name := range slices.Sorted(maps.Keys(live)) {
		service := c.standsFor(route, name)
		if _, stays := wanted[name]; !stays && total(name) > total(busiest[service]) {
			busiest[service] = name
		}
	}
	found := map[string][]map[string]any{}
	for name := range wanted {
		if before := busiest[c.standsFor(route, name)]; before != "" {
			found[name] = live[before]
		}
	}
	return found
}

// routed tells whether a route has no requests to move any more.
func (c *cutover) routed(route manifest.Object) bool { return len(c.leaving(route)) == 0 }

// mostWeight is the largest weight that the Gateway API allows.
const mostWeight = 1_000_000

// blended is a route whose new backends get so many percent of the requests
// that they are to get, and those that leave the rest. All weights of a rule
// grow alike, so that what goes to others stays the same.
func blended(route manifest.Object, leaving map[string][]map[string]any, percent int64) manifest.Object {
	blend := manifest.Object{Unstructured: route.DeepCopy(), Source: route.Source}
	replaced := func(backend any) []map[string]any {
		ref := localService(route.Unstructured, backend)
		name, _ := ref["name"].(string)
		return leaving[name]
	}
	eachRule(blend.Unstructured, func(refs []any) []any {
		if !slices.ContainsFunc(refs, func(r any) bool { return replaced(r) != nil }) {
			return refs
		}
		most := int64(1)
		for _, r := range refs {
			if ref, ok := r.(map[string]any); ok {
				most = max(most, weightOf(ref))
			}
		}
		var all []any
		for _, r := range refs {
			ref, ok := r.(map[string]any)
			if !ok {
				continue
			}
			weight := weightOf(ref)
			if most*100 > mostWeight && weight > 0 {
				weight = max(1, weight*(mostWeight/100)/most)
			}
			if before := replaced(r); before != nil {
				all = append(all, weighted(counterpart(before, ref), weight*(100-percent)), weighted(ref, weight*percent))
			} else {
				all = append(all, weighted(ref, weight*100))
			}
		}
		return all
	})
	return blend
}

// counterpart is the live reference that leads to the same port, else the first:
// the ports and filters of the old backend are not those of the new one.
func counterpart(live []map[string]any, ref map[string]any) map[string]any {
	if at := slices.IndexFunc(live, func(l map[string]any) bool { return l["port"] == ref["port"] }); at >= 0 {
		return live[at]
	}
	return live[0]
}

func weighted(ref map[string]any, weight int64) map[string]any {
	ref = maps.Clone(ref)
	ref["weight"] = weight
	return ref
}

// shift adds the writes that move the requests by the weights of routes: first
// the new backend beside the old one without a share, until its endpoints are
// there and every gateway has had the time to know them; then one percent;
// then all. A gateway that gets a backend and its requests in one write may
// lose some of them.
func (c *cutover) shift() {
	for _, route := range c.routes {
		leaving, live := c.leaving(route), c.liveRoute(route)
		switch {
		case live == nil:
			c.weigh(route, "to the first set")
			continue
		case len(leaving) == 0:
			continue
		}
		names := slices.Sorted(maps.Keys(leaving))
		known := !slices.ContainsFunc(names, func(name string) bool { return backends(live)[name] == nil })
		if !known {
			c.weigh(blended(route, leaving, 0), "the new set beside the old one, without requests")
		}
		propagation := c.Knobs.Propagation
		if c.Back && known && c.stillWhole() {
			propagation = 0 // The gateways have never lost it.
		}
		for _, name := range names {
			c.reachable(route, name, propagation)
		}
		if !c.Back {
			c.weigh(blended(route, leaving, 1), "1 % of the requests to the new set")
			if c.Knobs.Analysis > 0 && c.Probe != "" {
				c.add(Step{Verb: VerbAnalyse, Ref: kube.RefOf(route.Unstructured), Time: c.Knobs.Analysis, Text: fmt.Sprintf("count requests while the new set gets 1 %% of them, for %s", c.Knobs.Analysis)})
			}
		}
		c.weigh(blended(route, leaving, 100), "all requests to the new set")
	}
}

// reachable adds the wait until a backend has its endpoints and the gateways
// have had the time to know them. A Service of the manifests, which a route goes
// back to that no longer moves the requests, still has those of the old set.
func (c *cutover) reachable(route manifest.Object, name string, propagation time.Duration) {
	o, ok := c.backend(route, name)
	if !ok {
		return
	}
	if o.GetLabels()[BackendLabel] != "" {
		c.serving(o, SelectorOf(o.Unstructured), true, propagation)
		return
	}
	if old := c.selected(c.liveSelector(o)); len(old) > 0 {
		c.serving(o, MatchLabels(old[0].Live), false, propagation)
		c.steps[len(c.steps)-1].Text = fmt.Sprintf("the old pods are its endpoints, then %s for every gateway to know", propagation)
	}
}

// stillWhole tells whether the desired sets have all their pods before
// anything is done.
func (c *cutover) stillWhole() bool {
	for _, o := range c.sized(0) {
		if live := c.Live[kube.RefOf(o.Unstructured).ID()]; live == nil || ReplicasOf(live) < ReplicasOf(o.Unstructured) {
			return false
		}
	}
	return true
}

// unshift adds the writes that take the old backends out of the routes.
func (c *cutover) unshift() {
	for _, route := range c.routes {
		c.weigh(route, "the new set alone")
	}
}

// weigh adds the write of a route and the wait until its gateways have taken
// it, unless that was the last write to it.
func (c *cutover) weigh(route manifest.Object, text string) {
	ref, wave := kube.RefOf(route.Unstructured), lastWave(c.steps)
	steps := applies(c.Situation, []manifest.Object{route}, wave, false)
	for _, before := range slices.Backward(c.steps) {
		if before.Verb == VerbApply && before.Ref == ref {
			if equality.Semantic.DeepEqual(before.Object, steps[0].Object) {
				return
			}
			break
		}
	}
	for i := range steps {
		steps[i].Text, steps[i].Force, steps[i].Mark = text, true, "route "+ref.Name+": "+text
	}
	c.add(steps...)
	c.add(waitStep(c.Situation, ref, "every gateway has accepted it and found its backends", wave+2))
}
