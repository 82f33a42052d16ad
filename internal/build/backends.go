package build

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// Backends are the places where builds run, by their names in
// pipeline.Build.Compute. It is the Backend that hands each build to the one
// that it asks for.
type Backends map[string]Backend

var _ Backend = Backends(nil)

// Run runs the build where it asks to be run: as processes of this machine when
// it does not say. A place that there is not is an error.
func (all Backends) Run(ctx context.Context, b Build) (Ended, error) {
	name := cmp.Or(b.Compute, pipeline.ComputeHost)
	backend, ok := all[name]
	if !ok {
		return Ended{}, fmt.Errorf("run build %s: this server runs no builds with compute: %s; it has %s", b.Key, name,
			strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	return backend.Run(ctx, b)
}
