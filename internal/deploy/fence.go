package deploy

import (
	"context"
	"fmt"

	"github.com/towline/towline/internal/deploy/refusal"
)

// Ancestry compares two commits, each in full: ancestor tells whether newer
// contains older. known is false when one of them is not to be found, as after
// a forced push or when a revision came from another repository. An error means
// that the repository could not be asked.
type Ancestry func(ctx context.Context, older, newer string) (known, ancestor bool, err error)

// fence refuses a commit that the running revision's commit contains: such a
// deployment was overtaken by a newer one and would take it back. Commits are
// ordered by ancestry, for their times say nothing: clocks lie and branches are
// merged late. A rollback is not fenced, and its revision has the commit that
// it brought back, so that what was rolled back can be deployed again.
func (r *run) fence(ctx context.Context) error {
	running := r.journal.GoodBefore(r.journal.Latest() + 1)
	if r.ancestry == nil || r.settings.AllowOlder || r.record.Commit == "" || running == nil {
		return nil
	}
	newer := running.Deployment.Commit
	if newer == "" || newer == r.record.Commit {
		return nil
	}
	known, ancestor, err := r.ancestry(ctx, r.record.Commit, newer)
	switch {
	case err != nil:
		return fmt.Errorf("compare commit %s with %s, which runs: %w", short(r.record.Commit), short(newer), err)
	case !known:
		r.log.Line("fence   commit %s of revision %d, which runs, is not in this repository: it is not known which of the two is newer", short(newer), running.Revision())
	case ancestor:
		return refusal.New("commit %s is older than commit %s, which contains it and runs as revision %d: this deployment was overtaken and would take the newer one back. "+
			"To go back on purpose, run `towline rollback %s --to REVISION` (see `towline deployments %s`); "+
			"to deploy the older commit all the same, give --allow-older, or allowOlder: true in the deploy action",
			short(r.record.Commit), short(newer), running.Revision(), r.record.App, r.record.App)
	}
	return nil
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(7, len(commit))] }
