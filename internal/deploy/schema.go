package deploy

import (
	"fmt"
	"slices"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
)

// fits refuses objects that do not work with the database as it is by now, or
// whose migration what runs does not work with: such a change goes neither
// forward nor back. The versions stand in annotations; see manifest.SchemaOf.
func (r *run) fits(objects []manifest.Object, rollback bool) error {
	wanted, err := manifest.SchemaOf(objects)
	if err != nil {
		return err
	}
	now, by, err := r.schemaNow()
	if err != nil {
		return err
	}
	if err := wanted.Accepts(max(now, wanted.Brings)); err != nil {
		what := "this deployment does not work with the database"
		if rollback {
			what = "the revision to go back to does not work with the database any more"
		}
		return refusal.New("%s, whose schema revision %d has brought to %d, and nothing has been changed:\n%v\nDeploy a revision that works with it instead", what, by, now, err)
	}
	running := r.journal.GoodBefore(r.journal.Latest() + 1)
	if rollback || running == nil || wanted.Brings <= now {
		return nil
	}
	kept, err := running.Objects()
	if err != nil {
		return err
	}
	serving, err := manifest.SchemaOf(kept)
	if err != nil {
		return nil //nolint:nilerr // It was accepted once: what it says by now does not matter.
	}
	if err := serving.Accepts(wanted.Brings); err != nil {
		return refusal.New("the migration brings the database to schema %d while revision %d still serves, and nothing has been changed:\n%v\n"+
			"Migrate in two steps: first only add what the new version needs, and take away what the old one needs with the release after it",
			wanted.Brings, running.Revision(), err)
	}
	return nil
}

// schemaNow is the version that the database has, by the journal: the highest
// that a migration has brought, also one of a revision that failed afterwards.
// Zero means that none says.
func (r *run) schemaNow() (version int64, by int, err error) {
	for _, e := range r.journal.Entries {
		migrated := e.Good() || slices.ContainsFunc(e.Done, func(s journal.DoneStep) bool { return s.Verb == plan.VerbRun })
		if !migrated || e.RollbackTo != 0 {
			continue
		}
		objects, err := e.Objects()
		if err != nil {
			return 0, 0, err
		}
		schema, err := manifest.SchemaOf(objects)
		if err != nil {
			return 0, 0, fmt.Errorf("read the schema of revision %d: %w", e.Revision(), err)
		}
		if schema.Brings > version {
			version, by = schema.Brings, e.Revision()
		}
	}
	return version, by, nil
}
