package buildtest

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

func (s suite) database(t *testing.T) {
	t.Parallel()
	b := withMark(New(t,
		`psql -XAtc "select current_database() || ' ' || count(*) from pg_tables where schemaname = 'public'"`,
		`psql -XAtq "$DATABASE_URL" -c "create table t (x text); insert into t values ('é'); select upper(x) from t"`,
		`PGPASSWORD=wrong psql -XAtc "select 'let in'" 2>/dev/null || echo refused`,
		`psql -XAtqc "create database other" && PGDATABASE=other psql -XAtc "select 1"`,
		`echo "the password is $PGPASSWORD" "$DATABASE_URL"`,
		`echo "${CACHE_PGPORT:+two} $([ "$MAIN_PGPORT" = "$PGPORT" ] && echo first) $([ "$CACHE_PGPORT" != "$PGPORT" ] && echo other)"`,
		`psql -XAtc 'select nonsense'; true`,
		`echo $PGPORT > port`,
	))
	b.Services = []build.Service{{Name: "main", Engine: "postgres"}, {Name: "cache", Engine: "postgres"}}
	b.Exported = []string{"PGPASSWORD", "PGPORT"}
	ended := s.run(t, b)
	password, port := ended.Exported["PGPASSWORD"], ended.Exported["PGPORT"]
	got := printed(t, b)
	want := []string{
		"build 0", "É", "refused", "1",
		"the password is *** postgres://build:***@127.0.0.1:" + port + "/build?sslmode=disable",
		"two first other",
		`ERROR:  column "nonsense" does not exist`,
	}
	if len(got) > len(want) {
		got = got[:len(want)]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if log := strings.Join(Lines(t, b), "\n"); strings.Contains(log, password) || len(password) < 20 {
		t.Error("the password is in the log, or it is short")
	}
	if len(ended.Services) != 2 || !strings.HasPrefix(ended.Services[0], "PostgreSQL ") {
		t.Errorf("services are %q", ended.Services)
	}
	s.gone(t, b)
}

func (s suite) twoDatabases(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			b := withMark(New(t, `psql -XAtqc "create table t (x int)"`, `for i in $(seq 20); do psql -XAtqc "insert into t values ($i)"; done`, `psql -XAtc "select count(*) from t"`))
			b.Services = []build.Service{{Name: "db", Engine: "postgres"}}
			ended, err := s.backend.Run(t.Context(), b)
			if p, failed := ended.Failed(); err != nil || failed {
				t.Error(err, p.Failure)
			}
			if diff := cmp.Diff([]string{"20"}, printed(t, b)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			s.gone(t, b)
		})
	}
	wg.Wait()
}

// engines are the databases besides PostgreSQL.
func (s suite) engines(t *testing.T) {
	t.Parallel()
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
			b := withMark(New(t, c.commands...))
			b.Services = []build.Service{{Name: "db", Engine: engine}}
			ended := s.run(t, b)
			got := slices.DeleteFunc(printed(t, b), func(line string) bool { return line == "" })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			if p, failed := ended.Failed(); failed {
				t.Errorf("the build has failed: %+v", p.Failure)
			}
			if len(ended.Services) != 1 || !strings.HasPrefix(ended.Services[0], c.title) {
				t.Errorf("services are %q", ended.Services)
			}
			s.gone(t, b)
		})
	}
}
