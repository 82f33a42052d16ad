package artifact

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Unzip writes the files of an archive that is not in the store into dir, with
// the checks and limits of Unpack.
func (s *Store) Unzip(ctx context.Context, archive io.ReaderAt, size int64, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unzip: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unzip: %w", err)
	}
	defer root.Close()
	u := unpacking{root: root, limits: s.limits, seen: map[string]bool{}, made: map[string]bool{".": true}}
	if err := u.archive(ctx, archive, size); err != nil {
		return fmt.Errorf("unzip: %w", explain(err, dir))
	}
	return nil
}
