package store

import (
	"context"
	"io/fs"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

// OpenAt makes a database as an older Towline has left it.
func OpenAt(ctx context.Context, dir string, version int64) (*DB, error) {
	write, err := open(filepath.Join(dir, "towline.db"), "immediate")
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, write, files)
	if err != nil {
		return nil, err
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return nil, err
	}
	return &DB{write: write, read: write}, nil
}
