package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func put(t *testing.T, db *store.DB, p pipeline.Pipeline, repository string) error {
	t.Helper()
	return db.Update(t.Context(), func(q store.Querier) error { return store.PutPipeline(t.Context(), q, p, repository, now) })
}

func TestPipelineVersionGrowsWithEachChange(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	p := pipeline.Pipeline{Name: "web"}
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			p.Stages = []pipeline.Stage{{Name: "Test", Actions: []pipeline.Action{{Name: "unit", Configuration: json.RawMessage(`{"a":1}`)}}}}
		}
		if err := put(t, db, p, "web"); err != nil {
			t.Fatal(err)
		}
		got, err := db.Pipeline(t.Context(), "web")
		if err != nil || got.Pipeline.Version != want {
			t.Fatalf("put %d: version %d, %v; want %d", i, got.Pipeline.Version, err, want)
		}
	}
	if err := put(t, db, p, "other"); err == nil || !strings.Contains(err.Error(), "belongs to repository web") {
		t.Errorf("another repository took the name: %v", err)
	}
	if _, err := db.Pipeline(t.Context(), "nope"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing pipeline: %v", err)
	}
}

func TestExecutionsAreListedNewestFirstAndInPages(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	if err := put(t, db, pipeline.Pipeline{Name: "web"}, "web"); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		err := db.Update(t.Context(), func(q store.Querier) error {
			n, err := store.NextNumber(t.Context(), q, "web")
			if err != nil {
				return err
			}
			status := pipeline.ExecutionSucceeded
			if i == 4 {
				status = pipeline.ExecutionInProgress
			}
			return store.SaveExecution(t.Context(), q, pipeline.Execution{ID: fmt.Sprintf("web-%d", n), Pipeline: "web", Number: n, Status: status})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	page := func(before int) (numbers []int) {
		found, err := db.Executions(t.Context(), "web", before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			numbers = append(numbers, e.Number)
		}
		return numbers
	}
	if diff := cmp.Diff([][]int{{5, 4}, {3, 2}, {1}}, [][]int{page(0), page(4), page(2)}); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	unfinished, err := db.Unfinished(t.Context())
	if err != nil || len(unfinished) != 1 || unfinished[0].ID != "web-5" {
		t.Errorf("unfinished: %v, %v", unfinished, err)
	}
	if _, err := db.Execution(t.Context(), "web-9"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing execution: %v", err)
	}
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(q store.Querier) error {
		return errors.Join(store.SetHead(t.Context(), q, store.Head{Repository: "web", Branch: "main", Commit: "c1"}), boom)
	})
	if heads, _ := db.Heads(t.Context(), "web"); !errors.Is(err, boom) || len(heads) != 0 {
		t.Errorf("%v left %v", err, heads)
	}
}

func TestHeadsAreRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	set := func(commit string) {
		if err := db.Update(t.Context(), func(q store.Querier) error {
			return store.SetHead(t.Context(), q, store.Head{Repository: "web", Branch: "main", Commit: commit})
		}); err != nil {
			t.Fatal(err)
		}
	}
	set("c1")
	set("c2")
	if heads, err := open(t, dir).Heads(t.Context(), "web"); err != nil || heads["main"] != "c2" {
		t.Errorf("heads %v, %v", heads, err)
	}
	set("")
	if heads, _ := db.Heads(context.Background(), "web"); len(heads) != 0 {
		t.Errorf("still there: %v", heads)
	}
}

func TestDatabaseIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	if err := put(t, db, pipeline.Pipeline{Name: "web"}, "web"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "towline.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.Handle().Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "newer Towline") {
		t.Errorf("opened a newer schema: %v", err)
	}
}

// TestAnyDirectoryHoldsADatabase uses what means something else in the URI that
// names the file to SQLite.
func TestAnyDirectoryHoldsADatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "100%", "50%20", "a?mode=memory", "a#b", "a&b=c"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "x"+name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(filepath.Join(dir, "towline.db")); err != nil || info.Size() == 0 {
				t.Errorf("the database is elsewhere: %v, %v", info, err)
			}
		})
	}
}

func TestADeletedPipelineThatComesAgainIsNumberedOn(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	next := func() (n int) {
		t.Helper()
		err := db.Update(t.Context(), func(q store.Querier) (err error) {
			n, err = store.NextNumber(t.Context(), q, "web")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p := pipeline.Pipeline{Name: "web"}
	if err := put(t, db, p, ""); err != nil || next() != 1 {
		t.Fatal(err)
	}
	p.Mode = pipeline.ModeQueued
	if err := put(t, db, p, "web"); !errors.Is(err, store.ErrNameInUse) {
		t.Errorf("a repository took over what was defined through the API: %v", err)
	}
	if err := put(t, db, p, ""); err != nil {
		t.Fatal(err)
	}
	for version, mode := range map[int]pipeline.ExecutionMode{1: "", 2: pipeline.ModeQueued} {
		if d, err := db.PipelineVersion(t.Context(), "web", version); err != nil || d.Pipeline.Mode != mode || d.Pipeline.Version != version {
			t.Errorf("version %d: %+v, %v", version, d, err)
		}
	}
	if err := db.Update(t.Context(), func(q store.Querier) error { return store.DeletePipeline(t.Context(), q, "web", time.Now()) }); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pipeline(t.Context(), "web"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted, it is still found: %v", err)
	}
	if err := put(t, db, p, "web"); err != nil || next() != 2 {
		t.Errorf("made again: %v", err)
	}
	if d, err := db.Pipeline(t.Context(), "web"); err != nil || d.Pipeline.Version != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := db.PipelineVersion(t.Context(), "web", 9); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a version that there is not: %v", err)
	}
}
