package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// warnings are what loses requests, or may, and no completion can mend.
func warnings(objs []Object, near *neighbours) []Change {
	var changes []Change
	for _, s := range Services(objs) {
		changes = append(changes, serviceWarnings(near, s)...)
	}
	for _, o := range OfKind(objs, "apps", "Deployment") {
		if len(near.services(o)) > 0 {
			changes = append(changes, deploymentWarnings(near, o)...)
		}
	}
	for _, o := range append(OfKind(objs, "apps", "StatefulSet"), OfKind(objs, "apps", "DaemonSet")...) {
		changes = append(changes, inPlaceWarnings(near, o)...)
	}
	changes = append(changes, budgetWarnings(objs, near)...)
	for _, o := range Workloads(objs) {
		changes = append(changes, imageWarnings(o)...)
	}
	return changes
}

// serviceWarnings are about a Service that leads nowhere.
func serviceWarnings(near *neighbours, s Object) []Change {
	selector := stringMapAt(s.Object, "spec", "selector")
	if len(selector) == 0 || stringAt(s.Object, "spec", "type") == "ExternalName" {
		return nil // its endpoints are somebody else's
	}
	selected := near.selected(s.GetNamespace(), selector)
	if len(selected) == 0 {
		return []Change{warn(s, "spec.selector", selector, "no workload of these manifests has pods with these labels%s", nearLabels(near, s, selector))}
	}
	var changes []Change
	for port := range mapsOf(servicePorts(s)) {
		for _, o := range selected {
			if c, ok := portWarning(s, port, o); ok {
				changes = append(changes, c)
			}
		}
	}
	return changes
}

// nearLabels names the workload of the namespace that has most of the
// selector's labels, and what it has instead of the others.
func nearLabels(near *neighbours, s Object, selector map[string]string) string {
	var best labelledWorkload
	most := 0
	for _, o := range near.running[s.GetNamespace()] {
		labels, same := o.labels, 0
		for k, v := range selector {
			if labels[k] == v {
				same += 2
			} else if _, ok := labels[k]; ok {
				same++
			}
		}
		if same > most {
			best, most = o, same
		}
	}
	if most == 0 {
		return ""
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(best.labels)) {
		pairs = append(pairs, k+"="+best.labels[k])
	}
	return fmt.Sprintf("; the pods of %s have %s", Ref(best.Unstructured), strings.Join(pairs, ", "))
}

// portWarning is about a port that leads to none that the pods declare. A name
// that no container has gives a Service without endpoints; a number may be
// right all the same.
func portWarning(s Object, port map[string]any, o Object) (Change, bool) {
	target := targetPort(port)
	var names, numbers []string
	for _, c := range containers(o.Unstructured) {
		ports, _ := sliceAt(c.value, "ports")
		for p := range mapsOf(ports) {
			if declares(p, target) {
				return Change{}, false
			}
			names = append(names, stringAt(p, "name"))
			if n, ok := intAt(p, "containerPort"); ok {
				numbers = append(numbers, fmt.Sprint(n))
			}
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	field := fmt.Sprintf("spec.ports[%s].targetPort", show(port["port"]))
	switch t := target.(type) {
	case string:
		hint := "its ports have no names"
		if len(names) > 0 {
			hint = didYouMean(t, names) + "it has " + strings.Join(names, ", ")
		}
		return warn(s, field, t, "no container of %s has a port of that name, so that the Service has no endpoints: %s", Ref(o.Unstructured), hint), true
	case int64:
		if len(numbers) == 0 {
			return Change{}, false // declaring ports is optional
		}
		return warn(s, field, t, "no container of %s declares that port: it declares %s", Ref(o.Unstructured), strings.Join(numbers, ", ")), true
	}
	return Change{}, false
}

// deploymentWarnings are about a Deployment that takes requests.
func deploymentWarnings(near *neighbours, o Object) []Change {
	var changes []Change
	if t := stringAt(o.Object, "spec", "strategy", "type"); t == "Recreate" {
		changes = append(changes, warn(o, "spec.strategy.type", t, "every old pod ends before the first new one starts, and requests are lost until it serves: RollingUpdate does without"))
	}
	replicas, written := intAt(o.Object, "spec", "replicas")
	if !written {
		replicas = 1
	}
	scaled := near.scaled(o)
	if low, ok := leastReplicas(near.scalers(o)); ok && low < 2 {
		changes = append(changes, warn(o, "", nil, "its autoscaler may leave %d pod: when its node fails or is drained nothing serves; let it keep at least 2", low))
	}
	switch {
	case replicas == 0 && written:
		changes = append(changes, warn(o, "spec.replicas", replicas, "nothing serves"))
	case replicas == 1 && !scaled:
		changes = append(changes, warn(o, "spec.replicas", replicas, "when its node fails or is drained nothing serves: run at least 2"))
	case len(near.disruption(o)) == 0:
		changes = append(changes, warn(o, "", nil, "no PodDisruptionBudget of these manifests selects its pods: a node that is drained may end all of them at once"))
	}
	if scaled && written {
		changes = append(changes, warn(o, "spec.replicas", replicas, "its autoscaler sets the replicas too, and each deployment sets them back: leave them out"))
	}
	for _, c := range containers(o.Unstructured) {
		ports, _ := sliceAt(c.value, "ports")
		for p := range mapsOf(ports) {
			if n, ok := intAt(p, "hostPort"); ok && n > 0 {
				changes = append(changes, warn(o, c.field+".ports", p, "with a hostPort a new pod needs a node without an old one, and the rollout waits for ever when there is none"))
			}
		}
	}
	return changes
}

// leastReplicas is the smallest number of pods that autoscalers may leave:
// Kubernetes' keeps 1 by default, KEDA's 0.
func leastReplicas(scalers []Object) (low int64, ok bool) {
	for _, s := range scalers {
		field, otherwise := "minReplicas", int64(1)
		if isKind(s.Unstructured, "keda.sh", "ScaledObject") {
			field, otherwise = "minReplicaCount", 0
		}
		least, written := intAt(s.Object, "spec", field)
		if !written {
			least = otherwise
		}
		if !ok || least < low {
			low, ok = least, true
		}
	}
	return low, ok
}

// inPlaceWarnings are about workloads that replace their pods in place and
// that Complete leaves as they are: many of them are databases, whose pods
// nobody wants to be restarted for a recipe.
func inPlaceWarnings(near *neighbours, o Object) []Change {
	balanced := slices.ContainsFunc(near.services(o), func(s Object) bool {
		return stringAt(s.Object, "spec", "clusterIP") != "None"
	})
	if !balanced {
		return nil // clients choose the pod themselves, as those of databases do
	}
	var missing []string
	cs := containers(o.Unstructured)
	if !slices.ContainsFunc(cs, probed) {
		missing = append(missing, "a readinessProbe")
	}
	sleeps := slices.ContainsFunc(cs, func(c container) bool {
		_, ok := valueAt(c.value, "lifecycle", "preStop")
		return ok
	})
	if !sleeps {
		missing = append(missing, "a preStop that sleeps")
	}
	if len(missing) == 0 {
		return nil
	}
	return []Change{warn(o, "", nil, "a %s is left as it is written, and replaces each pod in place: without %s, requests to that pod are lost", o.GetKind(), strings.Join(missing, " and "))}
}

// imageWarnings are about images that may be another one tomorrow.
func imageWarnings(o Object) []Change {
	var changes []Change
	for _, c := range containers(o.Unstructured) {
		tag := Tag(c.image())
		if c.image() == "" || strings.Contains(c.image(), "@") || tag != "" && tag != "latest" {
			continue
		}
		changes = append(changes, warn(o, c.field+".image", c.image(),
			"without a version this is whatever was pushed last, and pods of one revision may run different code: name a version or a digest"))
	}
	return changes
}
