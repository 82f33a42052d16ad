package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// TestADatabaseOfAnOlderTowlineIsBroughtUpToDate has a pipeline and an execution
// as they were before there were filters and segments: the execution is in its
// second stage.
func TestADatabaseOfAnOlderTowlineIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := store.OpenAt(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	const definition = `{"name":"web","version":3,"on":{"push":{"branches":["main","release/*"]}},"stages":[{"name":"Source","actions":[{"name":"push","runOrder":1}]},{"name":"Test","actions":[{"name":"unit","runOrder":1}]}]}`
	const state = `{"id":"web-7","pipeline":"web","number":7,"status":"InProgress","definition":` + definition + `,"stages":[
		{"name":"Source","status":"Succeeded","attempt":1,"actions":[{"name":"push","status":"Succeeded"}]},
		{"name":"Test","status":"InProgress","attempt":1,"actions":[{"name":"unit","status":"Pending"}]}],"sequence":4}`
	err = old.Update(t.Context(), func(q store.Querier) error {
		if _, err := q.Exec(t.Context(), `INSERT INTO pipelines (name, repository, definition, version, executions, updated) VALUES ('web', 'web', $1, 3, 7, '2026-01-02T03:04:05Z')`, definition); err != nil {
			return err
		}
		_, err := q.Exec(t.Context(), `INSERT INTO executions (id, pipeline, number, status, state) VALUES ('web-7', 'web', 7, 'InProgress', $1)`, state)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	want := []pipeline.PushFilter{{Branches: &pipeline.Globs{Includes: []string{"main", "release/*"}}}}
	d, s, err := db.PipelineState(t.Context(), "web")
	if diff := cmp.Diff(want, d.Pipeline.On.Push); err != nil || diff != "" {
		t.Fatalf("%v, filters (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(map[string]string{"Source": "web-7", "Test": "web-7"}, s.Latest); diff != "" || len(s.Executions) != 1 {
		t.Fatalf("latest (-want +got):\n%s%d executions", diff, len(s.Executions))
	}
	if diff := cmp.Diff(want, s.Executions[0].Definition.On.Push); diff != "" {
		t.Errorf("filters of the execution (-want +got):\n%s", diff)
	}
	// Its worker, which the older Towline asked for, is told what to do.
	_, commands, err := pipeline.Apply(s, pipeline.StageEntered{Execution: "web-7", Stage: "Test", Attempt: 1})
	if diff := cmp.Diff([]pipeline.Command{pipeline.RunAction{Execution: "web-7", Stage: "Test", Attempt: 1, Action: "unit"}}, commands); err != nil || diff != "" {
		t.Errorf("%v, commands (-want +got):\n%s", err, diff)
	}
	if old, err := db.PipelineVersion(t.Context(), "web", 3); err != nil || old.Pipeline.Name != "web" {
		t.Errorf("version 3: %+v, %v", old, err)
	}
}

// TestBuildsOfAnOlderTowlineAreToldFromBatches has a build and a batch as they
// were before batches were counted by themselves.
func TestBuildsOfAnOlderTowlineAreToldFromBatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := store.OpenAt(t.Context(), dir, 17)
	if err != nil {
		t.Fatal(err)
	}
	err = old.Update(t.Context(), func(q store.Querier) error {
		for _, statement := range []string{
			`INSERT INTO projects (name, definition, builds, created, updated) VALUES ('web', '{}', 2, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')`,
			`INSERT INTO builds (id, project, number, ended, record) VALUES ('web:1', 'web', 1, 1, '{"status":"SUCCEEDED"}'), ('web:2', 'web', 2, 1, '{"status":"FAILED","batch":{}}')`,
		} {
			if _, err := q.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	for kind, want := range map[store.BuildKind]string{store.Alone: "web:1 SUCCEEDED", store.Batches: "web:2 FAILED"} {
		found, err := db.Builds(t.Context(), store.BuildFilter{Kind: kind, Limit: 9})
		if err != nil || len(found) != 1 || found[0].ID+" "+found[0].Status != want {
			t.Errorf("%s: %+v, %v", kind, found, err)
		}
	}
	for batch, want := range map[bool]int{false: 3, true: 3} {
		err := db.Update(t.Context(), func(q store.Querier) error {
			number, err := store.NextBuild(t.Context(), q, "web", batch)
			if number != want {
				t.Errorf("batch %t: the next one has number %d, want %d", batch, number, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
