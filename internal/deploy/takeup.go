package deploy

import (
	"bytes"
	"encoding/json"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/manifest"
)

// interrupted is the newest revision when its process ended in the middle of
// it and the request is for the same: the same settings and the same objects.
// It is nil when the request does not want to take one up.
func (r *run) interrupted(objects []manifest.Object) (*journal.Entry, error) {
	e := r.journal.ByRevision(r.journal.Latest())
	if !r.takeUp || e == nil || e.Phase == journal.Ended || e.RollbackTo != 0 {
		return nil, nil
	}
	before, err := json.Marshal(e.Settings)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(r.settings)
	if err != nil || !bytes.Equal(before, asked) {
		return nil, err
	}
	kept, err := e.Objects()
	if err != nil {
		return nil, err
	}
	have, err := manifest.Encode(kept)
	if err != nil {
		return nil, err
	}
	want, err := manifest.Encode(objects)
	if err != nil || !bytes.Equal(have, want) {
		return nil, err
	}
	return e, nil
}
