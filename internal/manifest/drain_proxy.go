package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

// DrainContainer is the name of the draining proxy in a pod.
const DrainContainer = "towline-drain"

// DrainAnnotation on a Deployment, with the value "off", leaves its pods as
// they are.
const DrainAnnotation = "towline.dev/drain"

// drainAdmin is the port on which the proxy is asked whether the pod is
// drained; the ports that it takes requests on follow it.
const drainAdmin = 15190

// sidecarsSince is the first version with native sidecars switched on: only
// those end after the application.
var sidecarsSince = version.MustParseGeneric("1.29.0")

// DrainProxy says which draining proxy AddDrainProxy puts into pods. Image and
// Version are required.
type DrainProxy struct {
	// Image holds the program at /towline, which is its entrypoint.
	Image string
	// Version is that of the API server, such as "v1.37.2".
	Version string
	// Detach and Longest are as in Recipe.
	Detach  time.Duration
	Longest time.Duration
	// Live are the workloads that run now. A Service must not name a port that
	// their pods do not have: they would be no endpoints any more.
	Live []Object
}

// drained is one Deployment that gets the proxy.
type drained struct {
	Object
	routes []*route
	admin  int64
	taken  map[int64]bool
}

// route leads one port of the Services through the proxy. Pods get requests by
// the name of a port, so that old pods, in which the name means the
// application, and new ones, in which it means the proxy, serve side by side.
type route struct {
	name   string
	target container // that listens on number
	number int64     // of the application
	listen int64     // of the proxy
}

// AddDrainProxy puts the draining proxy as a native sidecar into the pods of
// each Deployment of objs that a Service selects, and leads the Services' TCP
// ports through it. The containers of such a pod are told to end when the
// proxy says that the pod is drained: their preStop waits for it. Probes still
// ask the application itself.
//
// The order of a pod's end is the kubelet's: all preStop hooks run at once
// when the pod is deleted, sidecars' too. The proxy's begins the drain, those
// of the containers wait for its end; then the containers get SIGTERM, and the
// proxy only when they have ended (KEP-753).
//
// An error is about what cannot be led through a proxy; nothing is changed
// then. Run it after Complete. The second time it changes nothing.
func AddDrainProxy(objs []Object, proxy DrainProxy) ([]Change, error) {
	if err := proxy.check(); err != nil {
		return nil, err
	}
	var deployments []*drained
	for _, o := range OfKind(objs, "apps", "Deployment") {
		if drains(objs, o) {
			deployments = append(deployments, newDrained(o))
		}
	}
	var changes, warnings []Change
	var errs []error
	var moves []move
	for _, s := range Services(objs) {
		found, warned, err := routeService(objs, s, deployments, proxy.Live)
		moves, warnings, errs = append(moves, found...), append(warnings, warned...), append(errs, err...)
	}
	for _, d := range deployments {
		warned, err := d.refuse()
		warnings, errs = append(warnings, warned...), append(errs, err...)
	}
	if len(errs) > 0 {
		return nil, joinErrors(errs)
	}
	for _, m := range moves {
		changes = append(changes, m.apply())
	}
	for _, d := range deployments {
		if len(d.routes) > 0 {
			changes = append(changes, d.apply(proxy)...)
			changes = append(changes, d.admit(objs)...)
		}
	}
	return append(changes, warnings...), nil
}

func (p DrainProxy) check() error {
	if p.Image == "" {
		return &Error{Message: "drain: proxy needs the agent's image", Hint: "push it with `towline agent push` and name it"}
	}
	v, err := version.ParseGeneric(p.Version)
	if err != nil {
		return &Error{Message: fmt.Sprintf("drain: proxy needs to know the cluster's version, and %q is none", p.Version)}
	}
	if v.LessThan(sidecarsSince) {
		return &Error{
			Message: fmt.Sprintf("drain: proxy needs Kubernetes 1.29 or newer, and the cluster is %s: before that a proxy may end before the application does", p.Version),
			Hint:    "upgrade the cluster, or let the application answer what is in flight when it gets SIGTERM",
		}
	}
	return nil
}

// drains tells whether a Deployment gets the proxy and has none yet.
func drains(objs []Object, o Object) bool {
	if o.GetAnnotations()[DrainAnnotation] == "off" || len(filterSelecting(objs, o)) == 0 {
		return false
	}
	return !slices.ContainsFunc(containers(o.Unstructured), func(c container) bool { return c.name == DrainContainer })
}

func newDrained(o Object) *drained {
	d := &drained{Object: o, taken: map[int64]bool{}}
	for _, c := range containers(o.Unstructured) {
		ports, _ := sliceAt(c.value, "ports")
		for p := range mapsOf(ports) {
			n, _ := intAt(p, "containerPort")
			d.taken[n] = true
		}
	}
	return d
}

// free is a port that nobody in the pod has.
func (d *drained) free() int64 {
	n := int64(drainAdmin)
	for d.taken[n] {
		n++
	}
	d.taken[n] = true
	return n
}

// refuse names what no proxy can stand before.
func (d *drained) refuse() (warnings []Change, errs []error) {
	if len(d.routes) == 0 {
		return nil, nil
	}
	ref := Ref(d.Unstructured)
	if on, _ := valueAt(d.Object.Object, "spec", "template", "spec", "hostNetwork"); on == true {
		errs = append(errs, &Error{
			Source: d.Source, Message: ref + " has hostNetwork: a draining proxy would take ports of the node and could be asked by everybody on it",
			Hint: d.mend(),
		})
	}
	for _, c := range containers(d.Unstructured) {
		if c.init {
			continue
		}
		preStop, written := valueAt(c.value, "lifecycle", "preStop")
		if _, sleeps := OnlySleeps(preStop); !written || sleeps {
			continue
		}
		if slices.ContainsFunc(d.routes, func(r *route) bool { return r.target.name == c.name }) {
			errs = append(errs, &Error{
				Source:  d.Source,
				Message: fmt.Sprintf("%s: container %s has a preStop of its own, and there is room for one only: the draining proxy needs it to keep the application until the pod is drained", ref, c.name),
				Hint:    "take it out, since the proxy does what it is usually for; or " + d.mend(),
			})
			continue
		}
		warnings = append(warnings, warn(d.Object, c.field+".lifecycle.preStop", preStop,
			"it does not wait for the drain: when the requests need this container, they may fail once it has ended"))
	}
	return warnings, errs
}

func (d *drained) mend() string {
	return fmt.Sprintf("leave this Deployment out with the annotation %s: \"off\"", DrainAnnotation)
}

// OnlySleeps tells for how many seconds a preStop sleeps that does nothing
// else.
func OnlySleeps(preStop any) (seconds int64, ok bool) {
	handler, _ := preStop.(map[string]any)
	if s, ok := intAt(handler, "sleep", "seconds"); ok {
		return s, true
	}
	command, _ := sliceAt(handler, "exec", "command")
	words := make([]string, 0, len(command))
	for _, w := range command {
		words = append(words, fmt.Sprint(w))
	}
	if len(words) == 3 && words[1] == "-c" && slices.Contains([]string{"sh", "/bin/sh", "bash", "/bin/bash"}, words[0]) {
		words = strings.Fields(words[2])
	}
	if len(words) != 2 || words[0] != "sleep" && words[0] != "/bin/sleep" {
		return 0, false
	}
	return sleepOf(preStop)
}
