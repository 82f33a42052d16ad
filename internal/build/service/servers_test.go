//go:build linux

package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// running is a server of an engine with the address of its administrator.
func running(t *testing.T, engine string) (*Server, string) {
	t.Helper()
	dir, sockets := t.TempDir(), filepath.Join(os.TempDir(), "towline-servers-"+engine)
	place := Place{
		Data: filepath.Join(dir, "data"), Outside: filepath.Join(dir, "data"), Templates: filepath.Join(dir, "templates"),
		Sockets: sockets, Logs: dir, User: -1, Environ: os.Environ(), Mark: "A=b", Hide: func(string) {}, Say: func(string, ...any) {},
	}
	if os.Geteuid() == 0 { // which the servers refuse to be
		place.User = 65534
	}
	for _, d := range []string{place.Data, place.Templates} {
		if err := os.Mkdir(d, 0o711); err != nil {
			t.Fatal(err)
		}
		if place.User >= 0 {
			if err := os.Chown(d, place.User, place.User); err != nil {
				t.Fatal(err)
			}
		}
	}
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	server, err := Start(t.Context(), place, build.Service{Name: "main", Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server, server.variables()["DATABASE_URL"]
}

func TestADatabaseOnARunningServer(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{pipeline.EnginePostgres, pipeline.EngineMariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			_, admin := running(t, engine)
			var s Servers
			want := []build.Database{{Service: "db", Engine: engine, URL: admin, Name: "towline_1"}, {Service: "other", Engine: engine, URL: admin, Name: "towline_2"}}
			for range 2 { // the second time they are there, and are made anew
				found, secret, err := s.Create(t.Context(), want)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(secret, "DATABASE_URL") || slices.Contains(secret, "DB_PGHOST") || slices.Contains(secret, "DB_MYSQL_HOST") {
					t.Errorf("secret are %q", secret)
				}
				own := build.Database{Service: "db", Engine: engine, URL: found["DATABASE_URL"]}
				if err := use(t.Context(), own); err != nil {
					t.Errorf("use the database: %v", err)
				}
				// The account of a build can do nothing elsewhere.
				if err := drop(t.Context(), build.Database{Engine: engine, URL: own.URL, Name: "towline_2"}); err == nil {
					t.Error("a build has dropped the database of another")
				}
			}
			for range 2 { // what is not there is no error
				if err := s.Drop(t.Context(), want); err != nil {
					t.Error(err)
				}
			}
			if _, err := parseAndConnect(t.Context(), build.Database{Engine: engine, URL: admin}); err != nil {
				t.Error(err)
			}
		})
	}
}

// use makes a table, which there must not be.
func use(ctx context.Context, d build.Database) error {
	server, err := parseAndConnect(ctx, d)
	if err != nil {
		return err
	}
	switch s := server.(type) {
	case postgresServer:
		return s.exec(ctx, "CREATE TABLE t (x int)")
	case mysqlServer:
		return s.exec(ctx, "CREATE TABLE "+strings.TrimPrefix(path(d), "/")+".t (x int)")
	}
	return fmt.Errorf("a server of type %T", server)
}

func path(d build.Database) string {
	a, err := parse(d)
	if err != nil {
		return ""
	}
	return a.url.Path
}

func parseAndConnect(ctx context.Context, d build.Database) (administration, error) {
	a, err := parse(d)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(a.url.Scheme, "postgres") {
		if _, err := pgconn.ParseConfig(a.url.String()); err != nil {
			return nil, err
		}
	}
	return a.connect(ctx)
}

func TestTheAddressOfAServerIsNotShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		database build.Database
		want     string
	}{
		"when it is none":             {build.Database{Engine: pipeline.EnginePostgres, URL: "opens-it"}, "set it to one such as postgres://"},
		"when it is another engine's": {build.Database{Engine: pipeline.EngineMariaDB, URL: "postgres://u:opens-it@127.0.0.1:1/x"}, "for the engine mariadb write one such as mysql://"},
		"when its port is none":       {build.Database{Engine: pipeline.EnginePostgres, URL: "postgres://u:opens-it@127.0.0.1:0x/x"}, "holds no address"},
		"when nobody answers":         {build.Database{Engine: pipeline.EnginePostgres, URL: "postgres://u:opens-it@127.0.0.1:1/x"}, "connect to the PostgreSQL server"},
		"when it is a Redis":          {build.Database{Engine: pipeline.EngineRedis, URL: "redis://:opens-it@127.0.0.1:1"}, "leave server out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Servers{}.Create(t.Context(), []build.Database{c.database})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "opens-it") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
