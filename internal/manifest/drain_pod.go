package manifest

import (
	"fmt"
	"slices"
	"time"
)

// apply changes the pod template.
func (d *drained) apply(proxy DrainProxy) []Change {
	var changes []Change
	for _, r := range d.routes {
		changes = append(changes, r.moveName(d.Object)...)
	}
	detach := seconds(proxy.Detach, DefaultDetach)
	for _, c := range containers(d.Unstructured) {
		if c.init {
			continue
		}
		preStop, written := valueAt(c.value, "lifecycle", "preStop")
		slept, sleeps := OnlySleeps(preStop)
		if written && !sleeps {
			continue // see refuse
		}
		detach = max(detach, slept)
		value := map[string]any{"httpGet": map[string]any{"path": "/drained", "port": d.admin}}
		if setNested(c.value, value, "lifecycle", "preStop") {
			changes = append(changes, change(d.Object, Change{
				Kind: Replaced, Field: c.field + ".lifecycle.preStop", Reason: "it is told to end when the draining proxy says that the pod is drained",
			}, preStop, value))
		}
	}
	longest := seconds(proxy.Longest, DefaultLongestRequest)
	changes = append(changes, d.addSidecar(proxy.Image, detach, longest)...)
	return append(changes, d.raiseGrace(detach+longest+slack)...)
}

// moveName gives the name of the application's port to the proxy's, and makes
// the probes that went by the name go by the number. The port is declared at
// the application's container: before Kubernetes 1.32 Services did not find
// the named ports of sidecars, and some network plugins and meshes still do
// not.
func (r *route) moveName(o Object) []Change {
	ports, _ := sliceAt(r.target.value, "ports")
	var kept []any
	declared := false
	for _, item := range ports {
		p, ok := item.(map[string]any)
		if ok && stringAt(p, "name") == r.name && isTCP(p) {
			delete(p, "name")
			// The same number may be declared twice, by two names.
			if declared || slices.ContainsFunc(kept, func(k any) bool { return samePort(k, p) }) {
				continue
			}
			declared = true
		}
		kept = append(kept, item)
	}
	added := map[string]any{"name": r.name, "containerPort": r.listen}
	r.target.value["ports"] = append(kept, added)
	changes := []Change{change(o, Change{
		Kind: Replaced, Field: r.target.field + ".ports[" + r.name + "]",
		Reason: fmt.Sprintf("Services send requests to the draining proxy, which passes them on to port %d", r.number),
	}, r.number, r.listen)}
	for _, fields := range [][]string{{"startupProbe"}, {"readinessProbe"}, {"livenessProbe"}, {"lifecycle", "postStart"}} {
		for _, kind := range []string{"httpGet", "tcpSocket"} {
			asked, ok := mapAt(r.target.value, append(slices.Clone(fields), kind)...)
			if ok && asked["port"] == r.name {
				asked["port"] = r.number
				changes = append(changes, change(o, Change{
					Kind: Replaced, Field: r.target.field + "." + fields[len(fields)-1] + "." + kind + ".port",
					Reason: "it asks the application itself",
				}, r.name, r.number))
			}
		}
	}
	return changes
}

func samePort(item any, p map[string]any) bool {
	k, _ := item.(map[string]any)
	a, okA := intAt(k, "containerPort")
	b, okB := intAt(p, "containerPort")
	return okA && okB && a == b && isTCP(k) && isTCP(p)
}

// addSidecar adds the proxy as the last init container, so that those before
// it, which prepare the application, have ended when it starts.
func (d *drained) addSidecar(image string, detach, longest int64) []Change {
	admin := fmt.Sprintf("--admin=%d", d.admin)
	args := []any{"agent", "drain", admin, "--detach=" + duration(detach), "--longest=" + duration(longest)}
	for _, r := range d.routes {
		args = append(args, fmt.Sprintf("%d=%d", r.listen, r.number))
	}
	sidecar := map[string]any{
		"name":          DrainContainer,
		"image":         image,
		"restartPolicy": "Always",
		"args":          args,
		"ports":         []any{map[string]any{"name": DrainContainer, "containerPort": d.admin}},
		"lifecycle": map[string]any{"preStop": map[string]any{
			"exec": map[string]any{"command": []any{"/towline", "agent", "drain", "begin", admin}},
		}},
		"readinessProbe": map[string]any{
			"httpGet":       map[string]any{"path": "/readyz", "port": d.admin},
			"periodSeconds": int64(2), "timeoutSeconds": int64(2), "failureThreshold": int64(3),
		},
		"env": []any{map[string]any{"name": "GOMEMLIMIT", "value": "200MiB"}},
		"resources": map[string]any{
			"requests": map[string]any{"cpu": "50m", "memory": "32Mi"},
			"limits":   map[string]any{"memory": "256Mi"},
		},
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false,
			"capabilities":             map[string]any{"drop": []any{"ALL"}},
			"readOnlyRootFilesystem":   true,
			"runAsNonRoot":             true,
			"runAsUser":                int64(65532),
			"runAsGroup":               int64(65532),
			"seccompProfile":           map[string]any{"type": "RuntimeDefault"},
		},
	}
	fields := []string{"spec", "template", "spec", "initContainers"}
	before, _ := sliceAt(d.Object.Object, fields...)
	if !setNested(d.Object.Object, append(slices.Clone(before), sidecar), fields...) {
		return nil
	}
	return []Change{change(d.Object, Change{
		Kind: Replaced, Field: fmt.Sprintf("spec.template.spec.initContainers[%s]", DrainContainer),
		Reason: "drain: proxy; it answers what is in flight and asks clients to go elsewhere before the application is told to end",
	}, nil, image)}
}

func duration(s int64) string { return (time.Duration(s) * time.Second).String() }

// raiseGrace gives the drain, and the application after it, the time they may
// take.
func (d *drained) raiseGrace(need int64) []Change {
	fields := []string{"spec", "template", "spec", "terminationGracePeriodSeconds"}
	value, written := valueAt(d.Object.Object, fields...)
	have, number := asInt(value)
	if written && (!number || have >= need) || !written && need <= defaultGrace {
		return nil
	}
	if !setNested(d.Object.Object, need, fields...) {
		return nil
	}
	return []Change{change(d.Object, Change{
		Kind: Replaced, Field: "spec.template.spec.terminationGracePeriodSeconds",
		Reason: "the drain, the longest request in it, and the application's own end",
	}, value, need)}
}
