package host_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/pipeline"
)

// TestABuildHasADatabaseOfEachEngine needs the packages mariadb-server and
// redis-server.
func TestABuildHasADatabaseOfEachEngine(t *testing.T) {
	t.Parallel()
	h := newHost(t, false)
	for engine, c := range map[string]struct {
		title    string
		commands []string
		want     []string
	}{
		pipeline.EngineMariaDB: {"MariaDB ", []string{
			`mariadb -h "$MYSQL_HOST" -u "$MYSQL_USER" "$MYSQL_DATABASE" -N -e 'select database(), count(*) from information_schema.tables where table_schema = database()'`,
			`mariadb -h "$MYSQL_HOST" -u "$MYSQL_USER" "$MYSQL_DATABASE" -N -e 'create table t (x varchar(9)); insert into t values ("é"); select upper(x) from t; create database other'`,
			`MYSQL_PWD=wrong mariadb -h "$MYSQL_HOST" -u "$MYSQL_USER" -e 'select "let in"' 2>/dev/null || echo refused`,
			`mariadb -h "$MYSQL_HOST" -u root --password= -e 'select "let in"' 2>/dev/null || echo refused`,
			`echo "$DATABASE_URL" | sed 's/:[0-9][0-9]*\//:PORT\//'`,
		}, []string{"build\t0", "É", "refused", "refused", "mysql://build:***@127.0.0.1:PORT/build"}},
		pipeline.EngineRedis: {"Redis ", []string{
			`redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" set a é`,
			`redis-cli -u "$REDIS_URL" --no-auth-warning --raw get a`,
			`env -u REDISCLI_AUTH redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" get a`,
		}, []string{"OK", "é", "NOAUTH Authentication required."}},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := buildtest.New(t, c.commands...)
			b.Services = []build.Service{{Name: "db", Engine: engine}}
			ended, err := h.Run(t.Context(), b)
			if p, failed := ended.Failed(); err != nil || failed {
				t.Fatalf("%v, %+v\n%s", err, p.Failure, strings.Join(buildtest.Lines(t, b), "\n"))
			}
			var printed []string
			for _, line := range buildtest.Lines(t, b) {
				if !strings.HasPrefix(line, "[") && !strings.HasPrefix(line, "host backend:") && !strings.HasPrefix(line, "service ") && line != "" {
					printed = append(printed, line)
				}
			}
			if diff := cmp.Diff(c.want, printed); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(ended.Services) != 1 || !strings.HasPrefix(ended.Services[0], c.title) {
				t.Errorf("services are %q", ended.Services)
			}
			if left := buildtest.Leftovers(t, b.Dir); len(left) > 0 {
				t.Errorf("left are %q", left)
			}
		})
	}
}

// TestAServiceThatIsNotHere says what there is instead.
func TestAServiceThatIsNotHere(t *testing.T) {
	t.Parallel()
	h := newHost(t, false)
	for name, c := range map[string]struct {
		service build.Service
		want    string
	}{
		"another engine":  {build.Service{Name: "db", Engine: pipeline.EngineMySQL}, "there is no MySQL server on this machine, but MariaDB"},
		"another version": {build.Service{Name: "db", Engine: pipeline.EnginePostgres, Version: "9"}, "service db wants version 9 of postgres, this machine has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := buildtest.New(t, "true")
			b.Services = []build.Service{c.service}
			if _, err := h.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
