package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sweep removes the working directories of executions that have ended, which
// their end did not come to in an earlier process. It is called before anything
// runs. A worker that is about to be resumed, for something that was abandoned as
// the process died, finds by its directory what it has started, and removes it
// then.
func (e *Engine) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(e.Dir, "work"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for working directories that are left: %w", err)
	}
	resumed, err := e.durable.resumes()
	if err != nil {
		return err
	}
	unfinished, err := e.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, x := range unfinished {
		resumed[x.ID] = true
	}
	for _, entry := range entries {
		if id := entry.Name(); !resumed[id] {
			e.Logger.Info("remove working directory that was left", "execution", id)
			e.clean(id)
		}
	}
	return nil
}
