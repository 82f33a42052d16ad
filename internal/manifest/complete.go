package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// complete sets one field. It does nothing where something that is no mapping
// stands in the way: the API server says what is wrong with that.
func complete(o Object, reason string, value any, fields ...string) []Change {
	old, _ := valueAt(o.Object, fields...)
	if !setNested(o.Object, value, fields...) {
		return nil
	}
	return []Change{change(o, Change{Kind: Completed, Field: strings.Join(fields, "."), Reason: reason}, old, value)}
}

// Complete sets what the manifests leave out and a rollout without loss needs,
// in the Deployments that a Service of objs selects: readinessProbe,
// lifecycle.preStop, terminationGracePeriodSeconds, minReadySeconds and the
// strategy's maxUnavailable and maxSurge. What the user wrote stays, with two exceptions
// that are in the changes as well: a grace period that ends before preStop
// does is raised, and a maxUnavailable of 25%, which is Kubernetes' default
// written down, becomes 0. Choices of the user that lose requests are warned
// about, and so is what no completion can mend (see warnings).
//
// The recipe is the same for all strategies. Immutable and Blue/Green take a set
// out of the Service before any of its pods is told to end, so they could do
// without the sleep; but the pods also end when a node is drained, when the
// autoscaler takes some away or the spot market the node, and then nothing but
// the recipe keeps the requests. And a pod template that differs by strategy
// would roll all pods when the strategy changes.
//
// It is idempotent: the second time there are warnings only. Run it after
// SetNamespace, since Services select within their namespace.
func Complete(objs []Object, recipe Recipe) []Change {
	var changes []Change
	near := neighboursOf(objs)
	for _, o := range OfKind(objs, "apps", "Deployment") {
		if _, ok := Template(o.Unstructured); !ok {
			continue
		}
		services := near.services(o)
		if len(services) == 0 {
			continue
		}
		recipe := recipe
		if recipe.Detach <= 0 {
			recipe.Detach = near.detach(o)
		}
		changes = append(changes, completeReadiness(o, services, recipe)...)
		changes = append(changes, completePreStop(o, recipe)...)
		changes = append(changes, completeGrace(o, recipe)...)
		changes = append(changes, completeMinReady(o)...)
		changes = append(changes, completeStrategy(o, near.scaled(o))...)
	}
	return append(changes, warnings(objs, near)...)
}

// filterSelecting are the Services of objs that select the workload.
func filterSelecting(objs []Object, workload Object) []Object {
	var services []Object
	for _, s := range Services(objs) {
		if Selects(s.Unstructured, workload.Unstructured) {
			services = append(services, s)
		}
	}
	return services
}

// completeReadiness gives the first container that a Service sends requests
// to a probe, unless a container that takes requests has one already.
func completeReadiness(o Object, services []Object, recipe Recipe) []Change {
	var changes []Change
	for _, s := range services {
		for port := range mapsOf(servicePorts(s)) {
			if p := stringAt(port, "protocol"); p != "" && p != "TCP" {
				continue
			}
			c, target, ok := targetOf(o, port)
			if !ok || probed(c) {
				break
			}
			probe, reason := probeOf(s, port, target, recipe)
			c.value["readinessProbe"] = probe
			changes = append(changes, change(o, Change{Kind: Completed, Field: c.field + ".readinessProbe", Reason: reason}, nil, probe))
			break
		}
	}
	return changes
}

// probed reports whether c says itself when it can serve.
func probed(c container) bool {
	_, ok := c.value["readinessProbe"]
	return ok
}

// probeOf asks every 2 s and gives up on a pod after 3 failures: a new pod
// then joins soon after it can serve. A probe of a port cannot know more than
// that somebody listens.
func probeOf(service Object, port map[string]any, target any, recipe Recipe) (probe map[string]any, reason string) {
	probe = map[string]any{"periodSeconds": int64(2), "timeoutSeconds": int64(2), "failureThreshold": int64(3)}
	if recipe.ReadinessPath == "" || recipe.ReadinessService != "" && recipe.ReadinessService != service.GetName() {
		probe["tcpSocket"] = map[string]any{"port": target}
		return probe, "Service " + service.GetName() + " must not send requests to a pod that does not listen yet; an httpGet probe of your own would know more"
	}
	path, _, _ := strings.Cut(recipe.ReadinessPath, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	get := map[string]any{"path": path, "port": target}
	if isHTTPS(port) {
		get["scheme"] = "HTTPS"
	}
	probe["httpGet"] = get
	return probe, "Service " + service.GetName() + " must not send requests to a pod that cannot answer yet"
}

// completePreStop lets every container of the pod sleep before it is told to
// end, not only the one that takes requests: a proxy or a database proxy
// beside it that ends at once would take its requests along. Native sidecars
// need none, since they end after the containers.
func completePreStop(o Object, recipe Recipe) []Change {
	var changes []Change
	for _, c := range containers(o.Unstructured) {
		if c.init {
			continue
		}
		field := c.field + ".lifecycle.preStop"
		preStop, ok := valueAt(c.value, "lifecycle", "preStop")
		switch {
		case ok:
			if s, known := sleepOf(preStop); known && s < recipe.detach() {
				changes = append(changes, warn(o, field, preStop,
					"sleeps %d s, but it may take %d s until no node sends requests to the pod any more", s, recipe.detach()))
			}
		case recipe.NoSleepAction:
			changes = append(changes, warn(o, field, nil, "the pod ends while requests are still sent to it, and this cluster is too old "+
				"for preStop.sleep (it came with Kubernetes 1.30): give the container a preStop exec that sleeps %d s", recipe.detach()))
		default:
			value := map[string]any{"sleep": map[string]any{"seconds": recipe.detach()}}
			if !setNested(c.value, value, "lifecycle", "preStop") {
				continue
			}
			changes = append(changes, change(o, Change{Kind: Completed, Field: field, Reason: "requests still arrive until every node knows that the pod ends"}, nil, value))
		}
	}
	return changes
}

var sleeps = regexp.MustCompile(`(?:^|[\s;/])sleep ([0-9]{1,6})s?(?:$|[\s;&])`)

// sleepOf is how many seconds a preStop handler sleeps, if it says so.
func sleepOf(preStop any) (s int64, known bool) {
	handler, _ := preStop.(map[string]any)
	if s, ok := intAt(handler, "sleep", "seconds"); ok {
		return s, true
	}
	command, _ := sliceAt(handler, "exec", "command")
	var words []string
	for _, w := range command {
		words = append(words, fmt.Sprint(w))
	}
	return SleepCommand(words)
}

// SleepCommand is how many seconds a command sleeps, if it says so.
func SleepCommand(words []string) (s int64, known bool) {
	found := sleeps.FindStringSubmatch(strings.Join(words, " "))
	if found == nil {
		return 0, false
	}
	s, err := strconv.ParseInt(found[1], 10, 64)
	return s, err == nil
}

// completeGrace makes the grace period long enough for preStop, the longest
// request and the end of the process: the time of preStop is part of it.
func completeGrace(o Object, recipe Recipe) []Change {
	var preStop int64
	for _, c := range containers(o.Unstructured) {
		handler, _ := valueAt(c.value, "lifecycle", "preStop")
		if s, known := sleepOf(handler); known && !c.init {
			preStop = max(preStop, s)
		}
	}
	fields := []string{"spec", "template", "spec", "terminationGracePeriodSeconds"}
	need := recipe.grace(preStop)
	value, written := valueAt(o.Object, fields...)
	have, number := asInt(value)
	switch {
	case written && !number:
		return nil
	case !written && need > defaultGrace:
		return complete(o, fmt.Sprintf("preStop of %d s, the longest request and %d s to end; without it there are %d s", preStop, slack, defaultGrace), need, fields...)
	case written && have <= preStop:
		return complete(o, fmt.Sprintf("the pod would be killed before its preStop of %d s has ended", preStop), need, fields...)
	case written && have < need:
		return []Change{warn(o, strings.Join(fields, "."), have,
			"a request that takes longer than %d s after the preStop of %d s is cut off; %d would do", have-preStop, preStop, need)}
	}
	return nil
}

// minReady is how many seconds a new pod must stay ready before it counts.
const minReady = 2

// completeMinReady keeps a pod that ends right after it said that it is ready
// from taking the place of one that serves.
func completeMinReady(o Object) []Change {
	_, written := valueAt(o.Object, "spec", "minReadySeconds")
	deadline, limited := intAt(o.Object, "spec", "progressDeadlineSeconds")
	recreated := stringAt(o.Object, "spec", "strategy", "type") == "Recreate"
	if written || recreated || limited && deadline <= minReady {
		return nil
	}
	return complete(o, "a pod that fails as soon as it is ready must not replace one that serves", int64(minReady), "spec", "minReadySeconds")
}

// completeStrategy makes a rolling update keep every old pod until a new one
// serves. With more than four replicas the surge is Kubernetes' quarter, rounded
// up, for one pod at a time would take long; with fewer that is the same 1.
func completeStrategy(o Object, scaled bool) []Change {
	if t := stringAt(o.Object, "spec", "strategy", "type"); t != "" && t != "RollingUpdate" {
		return nil // see warnings
	}
	unavailable := []string{"spec", "strategy", "rollingUpdate", "maxUnavailable"}
	surge := []string{"spec", "strategy", "rollingUpdate", "maxSurge"}
	haveUnavailable, wroteUnavailable := valueAt(o.Object, unavailable...)
	haveSurge, wroteSurge := valueAt(o.Object, surge...)
	if wroteSurge && isNone(haveSurge) {
		return []Change{warn(o, strings.Join(surge, "."), haveSurge, "an old pod ends before its successor serves: with 1 the number of serving pods never falls")}
	}
	var changes []Change
	switch {
	case !wroteUnavailable || haveUnavailable == "25%":
		changes = append(changes, complete(o, "no old pod ends before its successor serves", int64(0), unavailable...)...)
	case !isNone(haveUnavailable):
		changes = append(changes, warn(o, strings.Join(unavailable, "."), haveUnavailable, "old pods end before their successors serve; 0 never does"))
	}
	if !wroteSurge {
		changes = append(changes, complete(o, "new pods start beside the old ones", surgeOf(o, scaled), surge...)...)
	}
	return changes
}

func surgeOf(o Object, scaled bool) any {
	if n, ok := intAt(o.Object, "spec", "replicas"); ok && n > 4 || scaled {
		return "25%"
	}
	return int64(1)
}

func isNone(v any) bool {
	n, ok := asInt(v)
	return ok && n == 0 || slices.Contains([]any{"0", "0%"}, v)
}
