package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	_ "github.com/lib/pq"
)

// visits counts visits. Its String says where.
type visits interface {
	fmt.Stringer
	Add(ctx context.Context, pod string) (total int, err error)
	Total(ctx context.Context) (int, error)
	Ping(ctx context.Context) error
	Close() error
}

// openVisits waits up to half a minute for the database, and brings its tables
// up to date. Without a URL it counts in memory.
func openVisits(ctx context.Context, log *slog.Logger, url string) (visits, error) {
	if url == "" {
		log.Warn("DATABASE_URL is not set: visits are counted in this pod's memory and lost when it ends")
		return &memory{}, nil
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		return nil, fmt.Errorf("read DATABASE_URL: %w", err)
	}
	db.SetMaxOpenConns(5)
	db.SetMaxIdleConns(5)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for err = db.PingContext(ctx); err != nil && ctx.Err() == nil; err = db.PingContext(ctx) {
		log.Info("waiting for the database", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	if err == nil {
		err = migrate(ctx, log, db)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &postgres{db: db}, nil
}

type memory struct{ n atomic.Int64 }

func (m *memory) String() string { return "in this pod's memory: set DATABASE_URL to keep them" }

func (m *memory) Add(context.Context, string) (int, error) { return int(m.n.Add(1)), nil }

func (m *memory) Total(context.Context) (int, error) { return int(m.n.Load()), nil }

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Close() error { return nil }

type postgres struct{ db *sql.DB }

func (p *postgres) String() string { return "in PostgreSQL" }

func (p *postgres) Add(ctx context.Context, pod string) (int, error) {
	if _, err := p.db.ExecContext(ctx, `INSERT INTO visits (pod) VALUES ($1)`, pod); err != nil {
		return 0, err
	}
	return p.Total(ctx)
}

func (p *postgres) Total(ctx context.Context) (n int, err error) {
	err = p.db.QueryRowContext(ctx, `SELECT count(*) FROM visits`).Scan(&n)
	return n, err
}

func (p *postgres) Ping(ctx context.Context) error { return p.db.PingContext(ctx) }

func (p *postgres) Close() error { return p.db.Close() }
