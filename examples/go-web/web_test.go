package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// database is the URL of an empty schema in the PostgreSQL at DATABASE_URL.
func database(t *testing.T) string {
	t.Helper()
	text := os.Getenv("DATABASE_URL")
	if text == "" {
		t.Fatal("DATABASE_URL is not set: these tests need an empty PostgreSQL database")
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("postgres", text)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(regexp.MustCompile(`\W`).ReplaceAllString(t.Name(), "_"))
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA IF EXISTS " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	if _, err := db.Exec("DROP SCHEMA IF EXISTS " + schema + " CASCADE; CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

var quiet = slog.New(slog.DiscardHandler)

// stores are the places where visits are counted.
var stores = map[string]func(t *testing.T) string{
	"PostgreSQL": database,
	"memory":     func(*testing.T) string { return "" },
}

func serve(t *testing.T, databaseURL string) (*site, string) {
	t.Helper()
	v, err := openVisits(t.Context(), quiet, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{visits: v, pod: "web-1", log: quiet}
	server := httptest.NewServer(s.handler())
	t.Cleanup(func() { server.Close(); v.Close() })
	return s, server.URL
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestGreeting(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, open(t))
			status, body := ask(t, "GET", url+"/")
			if status != 200 || !strings.HasPrefix(body, greeting+" from commit dev on web-1\n") || !strings.Contains(body, name) {
				t.Errorf("got %d %q", status, body)
			}
			if status, _ := ask(t, "GET", url+"/nothing"); status != 404 {
				t.Errorf("an unknown page answers %d", status)
			}
		})
	}
}

func TestVisitsAreCounted(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			_, url := serve(t, open(t))
			var wg sync.WaitGroup
			for range 20 {
				wg.Add(1)
				go func() { defer wg.Done(); ask(t, "POST", url+"/visits") }()
			}
			wg.Wait()
			if _, body := ask(t, "GET", url+"/visits"); body != "20\n" {
				t.Errorf("20 visits were counted as %q", body)
			}
		})
	}
}

func TestVisitsSurviveARestart(t *testing.T) {
	where := database(t)
	for n := 1; n <= 3; n++ {
		_, url := serve(t, where)
		if _, body := ask(t, "POST", url+"/visits"); body != fmt.Sprintln(n) {
			t.Errorf("after start %d: %q", n, body)
		}
	}
}

func TestPodsMigrateAtTheSameTime(t *testing.T) {
	where := database(t)
	errs := make(chan error, 5)
	for range cap(errs) {
		go func() {
			v, err := openVisits(context.Background(), quiet, where)
			if err == nil {
				err = v.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAnOlderPodCanWriteAfterTheMigration(t *testing.T) {
	v, err := openVisits(t.Context(), quiet, database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.(*postgres).db.Exec(`INSERT INTO visits DEFAULT VALUES`); err != nil {
		t.Error(err)
	}
}

func TestMigrationsOnlyAdd(t *testing.T) {
	takesAway := regexp.MustCompile(`(?i)\b(drop|rename|truncate|delete)\b`)
	names, _ := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if word := takesAway.FindString(string(text)); word != "" {
			t.Errorf("%s says %q: pods of the old release would break", name, word)
		}
	}
}

func TestReadiness(t *testing.T) {
	s, url := serve(t, database(t))
	want := func(path string, status int) {
		t.Helper()
		if got, body := ask(t, "GET", url+path); got != status {
			t.Errorf("%s: got %d %q, want %d", path, got, body, status)
		}
	}
	want("/readyz", 200)
	want("/healthz", 200)

	s.visits.Close() // as if the database had gone
	want("/readyz", 503)
	want("/healthz", 200)
	want("/visits", 503)
}

func TestAPodThatEndsServesOnAndSendsClientsAway(t *testing.T) {
	s, url := serve(t, "")
	s.ending.Store(true)
	resp, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("got %d, connection to be closed: %v", resp.StatusCode, resp.Close)
	}
	if status, _ := ask(t, "GET", url+"/readyz"); status != 503 {
		t.Errorf("a pod that ends says %d to the readiness probe", status)
	}
}

func TestRunEndsCleanlyWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, quiet, "127.0.0.1:0", ""); err != nil {
		t.Error(err)
	}
}
