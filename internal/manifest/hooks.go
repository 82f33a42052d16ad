package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// HookAnnotation says when a Job runs that is part of the deployment itself,
// such as a migration of the database: one of HookBefore, HookAfter and
// HookCheck. A Job without it is an ordinary object.
const HookAnnotation = "towline.dev/hook"

// The values of HookAnnotation.
const (
	// HookBefore: before any workload is touched. Its failure ends the
	// deployment there.
	HookBefore = "before"
	// HookAfter: once the new pods have the requests.
	HookAfter = "after"
	// HookCheck: only when a check of the deployment names it.
	HookCheck = "check"
)

// HookWeightAnnotation orders the hooks of one moment: a whole number, smaller
// ones first; without it, 0.
const HookWeightAnnotation = "towline.dev/hook-weight"

// HookJobs are the Jobs of a deployment by when they run, and the objects that
// are applied.
type HookJobs struct {
	Before, After []Object // by weight, and by their order where it is equal
	Check         []Object // run by name
	Rest          []Object // everything else
}

// Hooks takes the hooks out of objs. An annotation that means nothing, or
// stands on anything but a Job, is an *Error: a migration that silently does
// not run is worse than a deployment that does not start.
func Hooks(objs []Object) (HookJobs, error) {
	var h HookJobs
	var errs []error
	weights := map[ID]int{}
	for _, o := range objs {
		when, marked := o.GetAnnotations()[HookAnnotation]
		if !marked {
			h.Rest = append(h.Rest, o)
			continue
		}
		weight, err := checkHook(o, when)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		weights[IDOf(o.Unstructured)] = weight
		switch when {
		case HookBefore:
			h.Before = append(h.Before, o)
		case HookAfter:
			h.After = append(h.After, o)
		case HookCheck:
			h.Check = append(h.Check, o)
		}
	}
	if len(errs) > 0 {
		return HookJobs{}, joinErrors(errs)
	}
	byWeight := func(a, b Object) int {
		return cmp.Compare(weights[IDOf(a.Unstructured)], weights[IDOf(b.Unstructured)])
	}
	slices.SortStableFunc(h.Before, byWeight)
	slices.SortStableFunc(h.After, byWeight)
	return h, nil
}

func checkHook(o Object, when string) (weight int, err error) {
	known := []string{HookBefore, HookAfter, HookCheck}
	if !slices.Contains(known, when) {
		return 0, &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s: %q", Ref(o.Unstructured), HookAnnotation, when),
			Hint: didYouMean(when, known) + "it must be before, after or check"}
	}
	if !isKind(o.Unstructured, "batch", "Job") {
		return 0, &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s, but only Jobs are run as hooks", Ref(o.Unstructured), HookAnnotation),
			Hint: "make it a Job, or remove the annotation"}
	}
	written, ok := o.GetAnnotations()[HookWeightAnnotation]
	if !ok {
		return 0, nil
	}
	weight, err = strconv.Atoi(written)
	if err != nil {
		return 0, &Error{Source: o.Source, Message: fmt.Sprintf("%s has %s: %q", Ref(o.Unstructured), HookWeightAnnotation, written),
			Hint: "it must be a whole number, as a quoted string"}
	}
	return weight, nil
}
