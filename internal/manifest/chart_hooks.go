package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// The annotations of Helm's hooks.
const (
	helmHook       = "helm.sh/hook"
	helmHookWeight = "helm.sh/hook-weight"
)

// takeHooks makes Helm's hooks Towline's. Jobs run before the workloads are
// touched or after the cut-over; other objects of the same events are what
// these Jobs need, and are applied with everything else. Tests and the hooks
// of events that Towline does not have are left out.
func (r *rendering) takeHooks(objs []Object) ([]Object, error) {
	var kept []Object
	var errs []error
	for _, o := range objs {
		events := helmEvents(o)
		if len(events) == 0 {
			kept = append(kept, o)
			continue
		}
		when := whenOf(events)
		switch {
		case when == "":
			r.changes = append(r.changes, warn(o, "", nil, "is left out: Towline has no %s hooks", strings.Join(events, ", ")))
			continue
		case isKind(o.Unstructured, "", "Pod"):
			errs = append(errs, &Error{Source: o.Source, Message: fmt.Sprintf("%s is a %s hook, but only Jobs are run as hooks", Ref(o.Unstructured), strings.Join(events, ", ")), Hint: "make it a Job"})
		case isKind(o.Unstructured, "batch", "Job"):
			r.changes = append(r.changes, hookOf(o, when, events)...)
		default:
			r.changes = append(r.changes, warn(o, "", nil, "is a %s hook that is no Job: it is applied with the other objects and stays", strings.Join(events, ", ")))
		}
		kept = append(kept, o)
	}
	return kept, joinErrors(errs)
}

func helmEvents(o Object) []string {
	events := strings.Split(o.GetAnnotations()[helmHook], ",")
	for i := range events {
		events[i] = strings.TrimSpace(events[i])
	}
	return slices.DeleteFunc(events, func(e string) bool { return e == "" })
}

func whenOf(events []string) string {
	for _, e := range events {
		switch e {
		case "pre-install", "pre-upgrade":
			return HookBefore
		case "post-install", "post-upgrade":
			return HookAfter
		}
	}
	return ""
}

// hookOf marks a Job as Towline's hook. A weight that is no number is what
// Hooks refuses.
func hookOf(o Object, when string, events []string) []Change {
	reason := "helm.sh/hook: " + strings.Join(events, ", ")
	changes := complete(o, reason, when, "metadata", "annotations", HookAnnotation)
	if weight := o.GetAnnotations()[helmHookWeight]; weight != "" {
		changes = append(changes, complete(o, helmHookWeight, weight, "metadata", "annotations", HookWeightAnnotation)...)
	}
	install := slices.ContainsFunc(events, func(e string) bool { return strings.HasSuffix(e, "-install") })
	upgrade := slices.ContainsFunc(events, func(e string) bool { return strings.HasSuffix(e, "-upgrade") })
	switch {
	case install && !upgrade:
		changes = append(changes, warn(o, "", nil, "Helm would run it at the first installation only, here each deployment does"))
	case upgrade && !install:
		changes = append(changes, warn(o, "", nil, "Helm would not run it at the first installation, here each deployment does"))
	}
	return changes
}
