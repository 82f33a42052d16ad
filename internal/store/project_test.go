package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

// build keeps a build of a project, numbered by the store.
func build(t *testing.T, db *store.DB, project, id string) {
	t.Helper()
	err := db.Update(t.Context(), func(q store.Querier) error {
		number, err := store.NextBuild(t.Context(), q, project, false)
		if err != nil {
			return err
		}
		_, err = store.AddBuild(t.Context(), q, store.Build{ID: id, Project: project, Number: number, Record: []byte(`{}`)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func setBuild(t *testing.T, db *store.DB, b store.Build) error {
	t.Helper()
	return db.Update(t.Context(), func(q store.Querier) error { return store.SetBuild(t.Context(), q, b) })
}

func removeBuild(t *testing.T, db *store.DB, id string) error {
	t.Helper()
	return db.Update(t.Context(), func(q store.Querier) error { return store.RemoveBuild(t.Context(), q, id) })
}

func addProject(t *testing.T, db *store.DB, name string) {
	t.Helper()
	if err := db.Update(t.Context(), func(q store.Querier) error {
		return store.AddProject(t.Context(), q, name, []byte(`{"a": 1}`), now)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestProjectsAreKept(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	addProject(t, db, "web")
	addProject(t, db, "shop")
	do := func(fn func(ctx context.Context, q store.Querier) error) error {
		return db.Update(t.Context(), func(q store.Querier) error { return fn(t.Context(), q) })
	}
	later := now.Add(time.Hour)
	for _, step := range []struct {
		name string
		do   func(ctx context.Context, q store.Querier) error
		want error
	}{
		{"a name that is taken", func(ctx context.Context, q store.Querier) error {
			return store.AddProject(ctx, q, "web", []byte(`{}`), now)
		}, store.ErrExists},
		{"a change", func(ctx context.Context, q store.Querier) error {
			return store.SetProject(ctx, q, "web", []byte(`{"a": 2}`), later)
		}, nil},
		{"a change of nothing", func(ctx context.Context, q store.Querier) error {
			return store.SetProject(ctx, q, "nope", []byte(`{}`), now)
		}, store.ErrNotFound},
		{"an end", func(ctx context.Context, q store.Querier) error { return store.RemoveProject(ctx, q, "shop") }, nil},
		{"an end of nothing", func(ctx context.Context, q store.Querier) error { return store.RemoveProject(ctx, q, "shop") }, store.ErrNotFound},
		{"a build of nothing", func(ctx context.Context, q store.Querier) error {
			_, err := store.NextBuild(ctx, q, "shop", false)
			return err
		}, store.ErrNotFound},
	} {
		if err := do(step.do); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	got, err := db.Projects(t.Context())
	want := []store.Project{{Name: "web", Definition: []byte(`{"a": 2}`), Created: now, Updated: later}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestBuildsAreNumberedOnWhenAProjectComesAgain(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	addProject(t, db, "web")
	build(t, db, "web", "web:1")
	build(t, db, "web", "web:2")
	if err := db.Update(t.Context(), func(q store.Querier) error { return store.RemoveProject(t.Context(), q, "web") }); err != nil {
		t.Fatal(err)
	}
	addProject(t, db, "web")
	build(t, db, "web", "web:3")
	if b, err := db.Build(t.Context(), "web:3"); err != nil || b.Number != 3 {
		t.Errorf("build %+v, %v", b, err)
	}
}

func TestBuildsAreListedByPages(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	addProject(t, db, "web")
	addProject(t, db, "shop")
	for i := range 3 {
		build(t, db, "web", fmt.Sprintf("web:%d", i+1))
		build(t, db, "shop", fmt.Sprintf("shop:%d", i+1))
	}
	b, err := db.Build(t.Context(), "web:2")
	if err != nil {
		t.Fatal(err)
	}
	b.Ended, b.Tested, b.Status, b.Record = true, true, "FAILED", []byte(`{"b": 1}`)
	if err := setBuild(t, db, b); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter store.BuildFilter
		want   []string
	}{
		"the last ones first":  {store.BuildFilter{Limit: 4}, []string{"shop:3", "web:3", "shop:2", "web:2"}},
		"those of one project": {store.BuildFilter{Project: "web", Limit: 9}, []string{"web:3", "web:2", "web:1"}},
		"the first ones first": {store.BuildFilter{Project: "web", Ascending: true, Limit: 2}, []string{"web:1", "web:2"}},
		"the next page":        {store.BuildFilter{Project: "web", After: b.Sequence, Limit: 9}, []string{"web:1"}},
		"the next page, first": {store.BuildFilter{Project: "web", Ascending: true, After: b.Sequence, Limit: 9}, []string{"web:3"}},
		"those with tests":     {store.BuildFilter{Tested: true, Limit: 9}, []string{"web:2"}},
		"those with a status":  {store.BuildFilter{Status: "FAILED", Limit: 9}, []string{"web:2"}},
		"those of a batch":     {store.BuildFilter{PartOf: "web:9", Limit: 9}, nil},
		"batches alone":        {store.BuildFilter{Kind: store.Batches, Limit: 9}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := db.Builds(t.Context(), c.filter)
			var got []string
			for _, b := range found {
				got = append(got, b.ID)
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	unended, err := db.Unended(t.Context())
	if err != nil || len(unended) != 5 || unended[0].ID != "web:1" || unended[4].ID != "shop:3" {
		t.Errorf("unended %+v, %v", unended, err)
	}
	for _, want := range []error{nil, store.ErrNotFound} {
		if err := removeBuild(t, db, "web:2"); !errors.Is(err, want) {
			t.Errorf("remove web:2: %v, want %v", err, want)
		}
	}
	if err := setBuild(t, db, store.Build{ID: "web:2"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("save what was removed: %v", err)
	}
}
