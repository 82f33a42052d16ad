package build_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/service"
	"github.com/towline/towline/internal/pipeline"
)

// TestABuildHasADatabaseOnARunningServer takes the server of another build as
// the one that runs.
func TestABuildHasADatabaseOnARunningServer(t *testing.T) {
	t.Parallel()
	admin := postgresServer(t)
	o := newOrder(t, nil, pipeline.Build{})
	config := pipeline.Build{
		Commands: []string{
			`psql -XAtc "select count(*) from pg_tables where schemaname = 'public'"`, `psql -XAtqc "create table t (x int)"`,
			`echo on $PGHOST as $PGPASSWORD by "$DATABASE_URL"`, `psql -XAtc "select current_database()" > name`,
		},
		Artifacts: []string{"name"},
		Services:  map[string]pipeline.Service{"db": {Engine: pipeline.EnginePostgres, Server: "db/main"}},
	}
	var err error
	if o.Job.Configuration, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	result, err := o.with(t.Context(), func(action build.Action, job pipeline.Job) (pipeline.Result, error) {
		action.Secrets, action.Databases = values{"db/main": admin}, service.Servers{}
		return action.Run(t.Context(), job)
	})
	if err != nil || result.Outcome != pipeline.Succeeded {
		t.Fatalf("%+v, %v\n%s", result, err, logOf(t, o))
	}
	if log := logOf(t, o); !strings.Contains(log, "\non 127.0.0.1 as *** by ***\n") || strings.Contains(log, "warning") {
		t.Errorf("the log is\n%s", log)
	}
	name := strings.TrimSpace(contents(t, o.Store, result.Artifacts[0])["name"])
	conn, err := pgconn.Connect(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	left, err := conn.Exec(t.Context(), "SELECT datname FROM pg_database WHERE datname LIKE 'towline%'").ReadAll()
	if err != nil || len(left) != 1 || len(left[0].Rows) != 0 || !strings.HasPrefix(name, "towline_") {
		t.Errorf("the database was %q, left are %v, %v", name, left, err)
	}
}

// postgresServer is the address of a server with its administrator's account.
func postgresServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	place := service.Place{
		Data: filepath.Join(dir, "data"), Outside: filepath.Join(dir, "data"), Templates: filepath.Join(dir, "templates"), Sockets: filepath.Join(os.TempDir(), "towline-databases-test"),
		Logs: dir, User: -1, Environ: os.Environ(), Mark: "A=b", Hide: func(string) {}, Say: func(string, ...any) {},
	}
	if os.Geteuid() == 0 { // which the server refuses to be
		place.User = 65534
	}
	for _, d := range []string{place.Data, place.Templates} {
		err := os.Mkdir(d, 0o711)
		if err == nil && place.User >= 0 {
			err = os.Chown(d, place.User, place.User)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.RemoveAll(place.Sockets) })
	server, err := service.Start(t.Context(), place, build.Service{Name: "main", Engine: pipeline.EnginePostgres})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return service.Environment([]service.Named{{Name: "main", Account: server.Account}})["DATABASE_URL"]
}
