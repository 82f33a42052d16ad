// Package store keeps pipelines, executions, seen heads and clusters in SQL. It is the
// only room that imports database/sql. Exported methods of DB own their
// transaction; the functions that take a Querier run inside one that the
// caller owns, which may be the durable engine's.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNotFound is returned for a pipeline, execution or cluster that is not there.
var ErrNotFound = errors.New("not found")

// Querier is what SQL needs of a transaction. It is narrower than *sql.Tx, so
// that the durable engine's transactions fit too.
type Querier interface {
	// Exec returns the number of rows affected.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows is the result of Query, used as *sql.Rows is.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// DB is the database of one server. It is safe for concurrent use.
type DB struct {
	write *sql.DB // one connection: SQLite has one writer
	read  *sql.DB
}

// Open opens the database file towline.db in dir, creates it when it is
// missing, and brings its tables up to date. A file that a newer Towline has
// written is refused.
func Open(ctx context.Context, dir string) (*DB, error) {
	path := filepath.Join(dir, "towline.db")
	// SQLite would make the file readable by all; its log follows the file.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write, err := open(path, "immediate")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	read, err := open(path, "deferred")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	return &DB{write: write, read: read}, nil
}

func open(path, lock string) (*sql.DB, error) {
	query := url.Values{
		"_txlock": {lock},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "foreign_keys(1)"},
	}
	// In a URI these three would end the path or mean another character.
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	db, err := sql.Open("sqlite", "file:"+escaped+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read its version: %w", err)
	}
	if current > known {
		return fmt.Errorf("it was written by a newer Towline (schema %d, this one knows %d): start that version again", current, known)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring it up to date: %w", err)
	}
	return nil
}

// Close closes the database.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// Handle is the writer, for the durable engine, whose records commit in the
// same transactions as the tables here.
func (db *DB) Handle() *sql.DB { return db.write }

// Update runs fn in a transaction, which is committed when fn returns nil.
func (db *DB) Update(ctx context.Context, fn func(Querier) error) error {
	return transact(ctx, db.write, fn)
}

// View runs fn in a transaction that only reads. It does not wait for a
// writer.
func (db *DB) View(ctx context.Context, fn func(Querier) error) error {
	return transact(ctx, db.read, fn)
}

func transact(ctx context.Context, db *sql.DB, fn func(Querier) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err := fn(querier{tx}); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

type querier struct{ tx *sql.Tx }

var _ Querier = querier{}

func (q querier) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := q.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (q querier) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	return q.tx.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller reads them
}
