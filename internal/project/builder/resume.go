package builder

import (
	"context"

	"github.com/towline/towline/internal/project"
)

// Resume takes up the builds that an earlier process left, those that ran before
// those that waited.
func (r *Builder) Resume(ctx context.Context) error {
	unended, err := r.Store.Unended(ctx)
	if err != nil {
		return err
	}
	var waited []project.Build
	for _, stored := range unended {
		b, err := read(stored)
		switch {
		case err != nil:
			return err
		case b.Action != nil || b.PartOf != "":
			// The engine gives the action again, and with it this build; so does a
			// batch with its builds.
		case b.Running.IsZero():
			waited = append(waited, b)
		default:
			r.launch(b)
		}
	}
	for _, b := range waited {
		r.launch(b)
	}
	return nil
}
