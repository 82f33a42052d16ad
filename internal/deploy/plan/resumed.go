package plan

import (
	"maps"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// Resumed is what is known of how far the revision has got already, where the
// objects in the cluster do not say it.
type Resumed struct {
	// First says that no revision has succeeded before. What the cluster has of
	// the application was never asked whether it does well.
	First bool
	// Again says that another process began this very revision.
	Again bool
	// Switched has the Services, by kube.Ref.ID, whose selector that process has
	// changed.
	Switched map[string]bool
}

// shared tells whether a Service sends requests to both sets because this very
// revision has made it do so: a process that has ended since was on its way
// from the one to the other. The selector of an application that is taken over
// may look the same.
func (c *cutover) shared(o manifest.Object) bool {
	live, both := c.liveSelector(o), c.union(o)
	if !c.Resumed.Again || !c.Knobs.Union || both == nil || !maps.Equal(live, both) {
		return false
	}
	for _, old := range c.selected(live) {
		if old.Live.GetLabels()[SetLabel] == "" {
			return c.Resumed.Switched[kube.RefOf(o.Unstructured).ID()]
		}
	}
	return true
}
