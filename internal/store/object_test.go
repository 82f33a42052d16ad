package store_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

const digest = "sha256:9b1c0a4e5f6a0011223344556677889900112233445566778899aabbccddeeff"

// TestArtifactsOfOlderExecutionsAreObjects has an execution from before there
// was a table of objects.
func TestArtifactsOfOlderExecutionsAreObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := store.OpenAt(t.Context(), dir, 15)
	if err != nil {
		t.Fatal(err)
	}
	ended := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	p := pipeline.Pipeline{Name: "web"}
	e := pipeline.Execution{ID: "web-1", Pipeline: "web", Number: 1, Status: pipeline.ExecutionSucceeded, Stages: []pipeline.StageState{
		{Name: "Source", Actions: []pipeline.ActionState{{Name: "push"}}},
		{Name: "Build", Actions: []pipeline.ActionState{{Name: "app", Ended: ended, Result: &pipeline.Result{Artifacts: []pipeline.Artifact{{Name: "app", Digest: digest, Size: 7}}}}}},
	}}
	err = old.Update(t.Context(), func(q store.Querier) error {
		state, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := store.PutPipeline(t.Context(), q, p, "web", ended); err != nil {
			return err
		}
		_, err = q.Exec(t.Context(), `INSERT INTO executions (id, pipeline, number, status, state) VALUES ('web-1', 'web', 1, 'Succeeded', $1)`, string(state))
		return err
	})
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	want := store.Object{
		Bucket: store.ArtifactBucket, Key: "web/app/9b1c0a4e5f6a", Size: 7, ETag: "9b1c0a4e5f6a00112233445566778899-1",
		Headers: map[string]string{"Content-Type": "application/zip"}, Modified: ended, Artifact: digest,
	}
	got, err := db.Object(t.Context(), store.ArtifactBucket, store.ArtifactKey("web", pipeline.Artifact{Name: "app", Digest: digest}))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestAnArtifactIsAnObjectAsSoonAsItIsMade goes through what the engine calls in
// its transaction.
func TestAnArtifactIsAnObjectAsSoonAsItIsMade(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	made := pipeline.Artifact{Name: "app", Digest: digest, Size: 7}
	set := pipeline.ChangeSet{Pipeline: "web", At: time.Now(), Changes: []pipeline.Change{{Outputs: []pipeline.Artifact{made}}}}
	for range 2 { // The same files are the same object.
		if err := db.Update(t.Context(), func(q store.Querier) error { return store.AddChanges(t.Context(), q, set) }); err != nil {
			t.Fatal(err)
		}
	}
	all, err := db.Objects(t.Context(), store.ArtifactBucket, "web/app/", "", 10)
	if err != nil || len(all) != 1 || all[0].Artifact != digest {
		t.Errorf("%v, objects %+v", err, all)
	}
}

func TestSessionsAreForgottenADayAfterTheirEnd(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	add := func(id, job string, at time.Time) {
		t.Helper()
		if err := db.AddSession(t.Context(), store.Session{ID: id, Job: job, Sealed: []byte("s"), Token: []byte("t"), Scope: []byte("{}"), Expires: at.Add(time.Hour)}, at); err != nil {
			t.Fatal(err)
		}
	}
	there := func(id string) bool {
		_, err := db.Session(t.Context(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	add("old", "1", now)
	add("later", "2", now.Add(24*time.Hour))
	if !there("old") || !there("later") {
		t.Error("a session is forgotten too early")
	}
	add("new", "2", now.Add(26*time.Hour))
	if there("old") || !there("later") {
		t.Error("the old session is kept, or another is not")
	}
	if err := db.EndSessions(t.Context(), "2"); err != nil || there("later") || there("new") {
		t.Errorf("%v, and the job's sessions are there", err)
	}
}
