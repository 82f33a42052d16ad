package plan

import (
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

// maxName is how long a Service's name and a label's value may be.
const maxName = 63

// oneNamespace refuses Deployments of other namespaces that Services send
// requests to: the old pods there are not known, so that the requests would move
// to a set that may be too small, and the old one would never end.
func oneNamespace(s Situation) error {
	for _, o := range Served(s.Desired) {
		if o.GetNamespace() == s.Namespace {
			continue
		}
		return refusal.New("%s%s is in namespace %s, and %s replaces only the pods of the application's own namespace, %s. "+
			"Deploy what is in %s as an application of its own (--app, --namespace %s), or use strategy rolling",
			At(o), manifest.Ref(o.Unstructured), o.GetNamespace(), s.Strategy, s.Namespace, o.GetNamespace(), o.GetNamespace())
	}
	return nil
}

// nameable refuses a name that a strategy needs for another Service and that
// would be too long for one.
func nameable(o manifest.Object, name, what string) error {
	if len(name) <= maxName {
		return nil
	}
	return refusal.New("%sService %s: %s needs a second Service %s, whose name has %d characters, and %d are the most. Name yours at least %d shorter",
		At(o), o.GetName(), what, name, len(name), maxName, len(name)-maxName)
}

// markable refuses a Deployment whose name does not fit into the label that its
// set carries.
func markable(o manifest.Object) error {
	if name := o.GetName(); len(name) > maxName {
		return refusal.New("%s%s: its sets carry its name in the label %s, where %d characters are the most, and it has %d. Name it at least %d shorter, or use strategy rolling",
			At(o), manifest.Ref(o.Unstructured), WorkloadLabel, maxName, len(name), len(name)-maxName)
	}
	return nil
}
