package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresServer is a running PostgreSQL.
type postgresServer struct{ conn *pgconn.PgConn }

func connectPostgres(ctx context.Context, a address) (administration, error) {
	config, err := pgconn.ParseConfig(a.url.String())
	if err != nil {
		// What it says could hold parts of the address.
		return nil, errors.New("the address of the PostgreSQL server cannot be read: write one such as " + postgresAddress)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the PostgreSQL server: %w", err)
	}
	return postgresServer{conn}, nil
}

func (s postgresServer) create(ctx context.Context, name, password string) error {
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password),
		// Without it, who is no superuser cannot make a database of another's.
		fmt.Sprintf("GRANT %s TO CURRENT_USER", name),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, name),
		fmt.Sprintf("REVOKE CONNECT ON DATABASE %s FROM PUBLIC", name),
	} {
		if err := s.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s postgresServer) drop(ctx context.Context, name string) error {
	if err := s.exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)); err != nil {
		return err
	}
	return s.exec(ctx, fmt.Sprintf("DROP ROLE IF EXISTS %s", name))
}

func (s postgresServer) close(ctx context.Context) error { return s.conn.Close(ctx) }

// exec carries out one statement. The server's message does not repeat it.
func (s postgresServer) exec(ctx context.Context, statement string) error {
	_, err := s.conn.Exec(ctx, statement).ReadAll()
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("the PostgreSQL server refuses it: %s (the account needs CREATEDB and CREATEROLE)", refused.Message)
	}
	return err
}
