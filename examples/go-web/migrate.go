package main

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
)

// migrations run in the order of their names, each once. During a deployment
// the old pods still serve when the new ones have migrated, so a migration may
// only add: what it takes away must have been unused for a whole release.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is PostgreSQL's advisory lock under which one pod at a time
// migrates.
const migrationLock = 7_226_001

func migrate(ctx context.Context, log *slog.Logger, db *sql.DB) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	for _, name := range names {
		if err := apply(ctx, log, tx, name); err != nil {
			return fmt.Errorf("migrate %s: %w", name, err)
		}
	}
	return tx.Commit()
}

func apply(ctx context.Context, log *slog.Logger, tx *sql.Tx, name string) error {
	done, err := tx.ExecContext(ctx, `INSERT INTO migrations (name) VALUES ($1) ON CONFLICT DO NOTHING`, name)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err // an earlier start has applied it
	}
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	log.Info("migrate", "file", name)
	_, err = tx.ExecContext(ctx, string(text))
	return err
}
