package buildtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
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
