package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// told is a database with notifications of these names.
func told(t *testing.T, names ...string) *store.DB {
	t.Helper()
	db := open(t, t.TempDir())
	for _, name := range names {
		if err := db.AddNotification(t.Context(), store.Notification{Name: name, Kind: "webhook", Filter: []byte(`{}`), Sealed: []byte("sealed " + name), Created: now}); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func change(t *testing.T, db *store.DB, sets ...pipeline.ChangeSet) {
	t.Helper()
	err := db.Update(t.Context(), func(q store.Querier) error {
		for _, set := range sets {
			if err := store.AddChanges(t.Context(), q, set); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// toAll makes one notice of each change for each notification.
func toAll(all []store.Notification, set pipeline.ChangeSet) (made []store.Notice, err error) {
	for _, c := range set.Changes {
		for _, n := range all {
			made = append(made, store.Notice{Notification: n.Name, Execution: set.Execution, Event: fmt.Sprint(set.Execution, "/", c.Stage), Title: "t", Body: []byte(`{}`), Queued: now})
		}
	}
	return made, nil
}

func changed(execution string, stages ...string) pipeline.ChangeSet {
	set := pipeline.ChangeSet{Execution: execution}
	for _, stage := range stages {
		set.Changes = append(set.Changes, pipeline.Change{Kind: pipeline.ChangeOfStage, State: pipeline.ChangeStarted, Stage: stage})
	}
	return set
}

// next are the events that a notification may be sent now.
func next(t *testing.T, db *store.DB, name string, at time.Time) (events []string, ids []int64, due time.Time) {
	t.Helper()
	found, due, err := db.NextNotices(t.Context(), name, at, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range found {
		events, ids = append(events, n.Event), append(ids, n.ID)
	}
	return events, ids, due
}

func TestTheOutboxTellsWhatCommitsAndNothingElse(t *testing.T) {
	t.Parallel()
	t.Run("with nobody to tell nothing is written", func(t *testing.T) {
		t.Parallel()
		db := told(t)
		change(t, db, changed("web-1", "Test"))
		if err := db.AddNotification(t.Context(), store.Notification{Name: "late", Filter: []byte(`{}`), Sealed: []byte("s"), Created: now}); err != nil {
			t.Fatal(err)
		}
		if taken, err := db.ShareOut(t.Context(), 10, toAll); taken != 0 || err != nil {
			t.Errorf("took %d sets, %v", taken, err)
		}
	})
	t.Run("what is rolled back is not told", func(t *testing.T) {
		t.Parallel()
		db := told(t, "a")
		broken := errors.New("broken")
		err := db.Update(t.Context(), func(q store.Querier) error {
			if err := store.AddChanges(t.Context(), q, changed("web-1", "Test")); err != nil {
				return err
			}
			return broken
		})
		if taken, shared := db.ShareOut(t.Context(), 10, toAll); !errors.Is(err, broken) || taken != 0 || shared != nil {
			t.Errorf("%v; took %d sets, %v", err, taken, shared)
		}
	})
	t.Run("what cannot be shared out stays", func(t *testing.T) {
		t.Parallel()
		db := told(t, "a")
		change(t, db, changed("web-1", "Test"))
		broken := errors.New("broken")
		if _, err := db.ShareOut(t.Context(), 10, func([]store.Notification, pipeline.ChangeSet) ([]store.Notice, error) { return nil, broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if taken, err := db.ShareOut(t.Context(), 10, toAll); taken != 1 || err != nil {
			t.Errorf("took %d sets, %v", taken, err)
		}
	})
	t.Run("it is shared out once and in order", func(t *testing.T) {
		t.Parallel()
		db := told(t, "a", "b")
		change(t, db, changed("web-1", "Source"), changed("web-2", "Source"), changed("web-1"))
		change(t, db, changed("web-3", "Source"))
		for _, want := range []int{2, 1, 0} {
			if taken, err := db.ShareOut(t.Context(), 2, toAll); taken != want || err != nil {
				t.Errorf("took %d sets, %v; want %d", taken, err, want)
			}
		}
		for _, name := range []string{"a", "b"} {
			got, _, _ := next(t, db, name, now)
			if diff := cmp.Diff([]string{"web-1/Source", "web-2/Source", "web-3/Source"}, got); diff != "" {
				t.Errorf("%s is sent (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestNoticesKeepTheOrderOfAnExecution(t *testing.T) {
	t.Parallel()
	db := told(t, "a")
	change(t, db, changed("web-1", "Source", "Test"), changed("web-2", "Source"))
	if _, err := db.ShareOut(t.Context(), 10, toAll); err != nil {
		t.Fatal(err)
	}
	record := func(id int64, o store.NoticeOutcome) {
		t.Helper()
		if err := db.RecordNotice(t.Context(), id, o); err != nil {
			t.Fatal(err)
		}
	}
	events, ids, _ := next(t, db, "a", now)
	if diff := cmp.Diff([]string{"web-1/Source", "web-2/Source"}, events); diff != "" {
		t.Fatalf("first (-want +got):\n%s", diff)
	}
	later := now.Add(time.Minute)
	record(ids[0], store.NoticeOutcome{At: now, Error: "503", Next: later})
	record(ids[1], store.NoticeOutcome{At: now})
	if events, _, due := next(t, db, "a", now); len(events) != 0 || !due.Equal(later) {
		t.Errorf("while the first waits: %v, due %s", events, due)
	}
	counts, err := db.CountNotices(t.Context())
	if diff := cmp.Diff(map[string]store.NoticeCounts{"a": {Pending: 2, Delivered: 1, Last: now, Error: "503"}}, counts); err != nil || diff != "" {
		t.Errorf("%v, counts (-want +got):\n%s", err, diff)
	}
	record(ids[0], store.NoticeOutcome{At: later, Error: "410 Gone"})
	events, _, _ = next(t, db, "a", later)
	if diff := cmp.Diff([]string{"web-1/Test"}, events); diff != "" {
		t.Errorf("once the first is dead (-want +got):\n%s", diff)
	}
	dead, err := db.DeadNotices(t.Context(), "", 10)
	if err != nil || len(dead) != 1 || dead[0].Attempts != 2 || dead[0].Error != "410 Gone" || !dead[0].Tried.Equal(later) {
		t.Errorf("dead %+v, %v", dead, err)
	}
	if count, err := db.ReviveNotices(t.Context(), "a", 0, later); count != 1 || err != nil {
		t.Errorf("revived %d, %v", count, err)
	}
	events, _, _ = next(t, db, "a", later)
	if diff := cmp.Diff([]string{"web-1/Source"}, events); diff != "" {
		t.Errorf("once it is queued again (-want +got):\n%s", diff)
	}
}

func TestOldNoticesAreForgotten(t *testing.T) {
	t.Parallel()
	db := told(t, "a")
	change(t, db, changed("web-1", "Source"), changed("web-2", "Source"), changed("web-3", "Source"))
	if _, err := db.ShareOut(t.Context(), 10, toAll); err != nil {
		t.Fatal(err)
	}
	_, ids, _ := next(t, db, "a", now)
	for i, o := range []store.NoticeOutcome{{At: now}, {At: now, Error: "gone"}} {
		if err := db.RecordNotice(t.Context(), ids[i], o); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		delivered, dead time.Time
		want            store.NoticeCounts
	}{
		{now, now, store.NoticeCounts{Pending: 1, Delivered: 1, Dead: 1, Last: now}},
		{now.Add(1e6), now, store.NoticeCounts{Pending: 1, Dead: 1}},
		{now, now.Add(1e6), store.NoticeCounts{Pending: 1}},
	} {
		if err := db.PruneNotices(t.Context(), c.delivered, c.dead); err != nil {
			t.Fatal(err)
		}
		counts, err := db.CountNotices(t.Context())
		if diff := cmp.Diff(c.want, counts["a"]); err != nil || diff != "" {
			t.Errorf("%v, counts (-want +got):\n%s", err, diff)
		}
	}
	for _, c := range []struct {
		before time.Time
		want   int
	}{{now, 0}, {now.Add(1e6), 1}} {
		if count, err := db.ExpireNotices(t.Context(), c.before, now.Add(time.Hour)); count != c.want || err != nil {
			t.Errorf("gave up %d queued before %s, %v; want %d", count, c.before, err, c.want)
		}
	}
	dead, err := db.DeadNotices(t.Context(), "a", 10)
	if err != nil || len(dead) != 1 || dead[0].Error != "there was no time to try it" {
		t.Errorf("dead %+v, %v", dead, err)
	}
	if err := db.RemoveNotification(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if counts, err := db.CountNotices(t.Context()); len(counts) != 0 || err != nil {
		t.Errorf("of a removed notification there is %v, %v", counts, err)
	}
}

func TestNotificationsAreKeptSealed(t *testing.T) {
	t.Parallel()
	db := told(t, "a", "b")
	if err := db.AddNotification(t.Context(), store.Notification{Name: "a", Filter: []byte(`{}`), Sealed: []byte("s"), Created: now}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second one of the name: %v", err)
	}
	err := db.ResealNotifications(t.Context(), func(_ string, sealed []byte) ([]byte, error) {
		return []byte(strings.ToUpper(string(sealed))), nil
	})
	got, loaded := db.Notification(t.Context(), "b")
	if err != nil || loaded != nil || string(got.Sealed) != "SEALED B" {
		t.Errorf("resealed %q, %v, %v", got.Sealed, err, loaded)
	}
	if err := db.RemoveNotification(t.Context(), "c"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removing what is not there: %v", err)
	}
}
