package manifest

import (
	"fmt"
	"slices"
)

// move makes a port of a Service lead to a name.
type move struct {
	service Object
	port    map[string]any
	name    string
}

func (m move) apply() Change {
	old := targetPort(m.port)
	m.port["targetPort"] = m.name
	return change(m.service, Change{
		Kind: Replaced, Field: fmt.Sprintf("spec.ports[%s].targetPort", show(m.port["port"])),
		Reason: "new pods take requests at the draining proxy, the others where they did: the name tells which",
	}, old, m.name)
}

// routeService leads the ports of one Service through the proxies of the
// Deployments that it selects.
func routeService(objs []Object, s Object, deployments []*drained, live []Object) (moves []move, warnings []Change, errs []error) {
	var selected []*drained
	for _, d := range deployments {
		if Selects(s.Unstructured, d.Unstructured) {
			selected = append(selected, d)
		}
	}
	if len(selected) == 0 {
		return nil, nil, nil
	}
	for port := range mapsOf(servicePorts(s)) {
		field := fmt.Sprintf("spec.ports[%s]", show(port["port"]))
		if p := stringAt(port, "protocol"); p != "" && p != "TCP" {
			warnings = append(warnings, warn(s, field+".protocol", p, "only TCP can be drained: this port goes to the application as before"))
			continue
		}
		name, moved := nameOf(port, selected)
		if name == "" || !routePort(selected, port, name) {
			continue // see portWarning
		}
		if isHTTPS(port) {
			warnings = append(warnings, warn(s, field, stringAt(port, "name"),
				"the draining proxy cannot look into TLS: it waits until a connection is quiet, but cannot ask its client to open another one"))
		}
		if !moved {
			continue
		}
		m := move{service: s, port: port, name: name}
		moves = append(moves, m)
		errs = append(errs, m.strangers(others(objs, selected), live)...)
	}
	if stringAt(s.Object, "spec", "clusterIP") == "None" {
		warnings = append(warnings, warn(s, "spec.clusterIP", "None",
			"clients ask for the pods' addresses and choose the port themselves: they pass by the draining proxy unless they look up its port (SRV)"))
	}
	return moves, warnings, errs
}

// nameOf is the name by which a port of a Service leads to the pods. One that
// leads to a number gets the name that the number has there, for pods of the
// running revision most likely know it too.
func nameOf(port map[string]any, selected []*drained) (name string, moved bool) {
	target := targetPort(port)
	if name, ok := target.(string); ok {
		return name, false
	}
	number, ok := target.(int64)
	if !ok {
		return "", false
	}
	for _, d := range selected {
		for _, c := range containers(d.Unstructured) {
			ports, _ := sliceAt(c.value, "ports")
			for p := range mapsOf(ports) {
				if name := stringAt(p, "name"); name != "" && isTCP(p) && declares(p, number) {
					return name, true
				}
			}
		}
	}
	return fmt.Sprintf("towline-%d", number), true
}

func isTCP(port map[string]any) bool {
	p := stringAt(port, "protocol")
	return p == "" || p == "TCP"
}

// routePort adds the route of a port to each Deployment that has it.
func routePort(selected []*drained, port map[string]any, name string) (found bool) {
	for _, d := range selected {
		if slices.ContainsFunc(d.routes, func(r *route) bool { return r.name == name }) {
			found = true
			continue
		}
		c, target, ok := targetOf(d.Object, port)
		if !ok {
			continue
		}
		number, known := target.(int64)
		if !known {
			number, known = numberOf(c, name)
		}
		if !known {
			continue
		}
		if len(d.routes) == 0 {
			d.admin = d.free()
		}
		d.routes = append(d.routes, &route{name: name, target: c, number: number, listen: d.free()})
		found = true
	}
	return found
}

func numberOf(c container, name string) (number int64, ok bool) {
	ports, _ := sliceAt(c.value, "ports")
	for p := range mapsOf(ports) {
		if stringAt(p, "name") == name && isTCP(p) {
			return intAt(p, "containerPort")
		}
	}
	return 0, false
}

// others are the workloads that get no proxy.
func others(objs []Object, selected []*drained) []Object {
	return slices.DeleteFunc(Workloads(objs), func(o Object) bool {
		return slices.ContainsFunc(selected, func(d *drained) bool { return d.Unstructured == o.Unstructured })
	})
}

// strangers are the workloads that the Service selects and that do not know
// the name which it is about to use: their pods would get no requests any
// more.
func (m move) strangers(objs, live []Object) (errs []error) {
	s, number := m.service, show(targetPort(m.port))
	for _, o := range objs {
		if !Selects(s.Unstructured, o.Unstructured) || knows(o, m.name) {
			continue
		}
		errs = append(errs, &Error{
			Source:  s.Source,
			Message: fmt.Sprintf("%s also selects %s, which has no port %s: only a port that all of them name can be led through the draining proxy", Ref(s.Unstructured), Ref(o.Unstructured), m.name),
			Hint:    fmt.Sprintf("give port %s the name %s there too", number, m.name),
		})
	}
	for _, o := range live {
		if !Selects(s.Unstructured, o.Unstructured) || knows(o, m.name) {
			continue
		}
		errs = append(errs, &Error{
			Source: s.Source,
			Message: fmt.Sprintf("%s leads to port %s by its number, and the pods of %s that run now have no name for it: the draining proxy is reached by name, and they would get no requests any more",
				Ref(s.Unstructured), number, Ref(o.Unstructured)),
			Hint: fmt.Sprintf("give the port a name in the Deployment, as in `ports: [{name: http, containerPort: %s}]`, deploy that with drain: warn, and then with drain: proxy", number),
		})
	}
	return errs
}

// knows tells whether a workload's pods have a TCP port of that name.
func knows(o Object, name string) bool {
	return slices.ContainsFunc(containers(o.Unstructured), func(c container) bool {
		_, ok := numberOf(c, name)
		return ok
	})
}

// admit lets the proxy's ports through the NetworkPolicies of objs that let
// the application's through.
func (d *drained) admit(objs []Object) []Change {
	var changes []Change
	for _, policy := range OfKind(objs, "networking.k8s.io", "NetworkPolicy") {
		expressions, _ := sliceAt(policy.Object, "spec", "podSelector", "matchExpressions")
		labels := stringMapAt(policy.Object, "spec", "podSelector", "matchLabels")
		if policy.GetNamespace() != d.GetNamespace() || len(expressions) == 0 && !holds(TemplateLabels(d.Unstructured), labels) {
			continue
		}
		rules, _ := sliceAt(policy.Object, "spec", "ingress")
		for i, item := range rules {
			rule, _ := item.(map[string]any)
			for _, r := range d.routes {
				changes = append(changes, r.admit(policy, rule, fmt.Sprintf("spec.ingress[%d].ports", i))...)
			}
		}
	}
	return changes
}

func (r *route) admit(policy Object, rule map[string]any, field string) []Change {
	ports, _ := sliceAt(rule, "ports")
	admits := func(n any) bool {
		return slices.ContainsFunc(slices.Collect(mapsOf(ports)), func(p map[string]any) bool {
			number, _ := asInt(p["port"])
			return isTCP(p) && (p["port"] == n || n != r.name && number == n)
		})
	}
	// A name means the proxy by now, but not every network plugin heeds it in
	// the same way; the number is certain.
	if admits(r.listen) || !admits(r.number) && !admits(r.name) {
		return nil
	}
	added := map[string]any{"protocol": "TCP", "port": r.listen}
	rule["ports"] = append(slices.Clone(ports), added)
	return []Change{change(policy, Change{Kind: Replaced, Field: field, Reason: "requests arrive at the draining proxy"}, nil, added)}
}
