package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	db, ctx := open(t, t.TempDir()), t.Context()
	message := func(hook, key string, at time.Time) store.Message {
		return store.Message{Hook: hook, Key: key, Text: []byte(hook + key), Taken: at}
	}
	later := monday.Add(time.Second)
	err := db.Update(ctx, func(q store.Querier) error {
		return errors.Join(store.AddMessage(ctx, q, message("web", "z", monday)), store.AddMessage(ctx, q, message("web", "a", later)), store.AddMessage(ctx, q, message("app", "z", later)))
	})
	if err != nil {
		t.Fatal(err)
	}
	due := func(at time.Time) (all []string) {
		t.Helper()
		hooks, err := db.DueHooks(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, hook := range hooks {
			found, err := db.DueMessages(ctx, hook, at)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range found {
				all = append(all, string(m.Text))
			}
		}
		return all
	}
	if diff := cmp.Diff([]string{"webz", "weba", "appz"}, due(later)); diff != "" {
		t.Errorf("due in the order in which they came (-want +got):\n%s", diff)
	}
	if err := db.PostponeMessage(ctx, message("web", "z", monday), monday.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	remove := func() error {
		return db.Update(ctx, func(q store.Querier) error { return store.RemoveMessage(ctx, q, message("web", "a", later)) })
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if err := remove(); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if diff := cmp.Diff([]string{"appz"}, due(later)); diff != "" {
		t.Errorf("due once one is postponed and one removed (-want +got):\n%s", diff)
	}
	found, err := db.DueMessages(ctx, "web", monday.Add(time.Minute))
	want := store.Message{Hook: "web", Key: "z", Text: []byte("webz"), Taken: monday, Failures: 1}
	if err != nil || len(found) != 1 || !cmp.Equal(want, found[0]) {
		t.Errorf("the one that was postponed is %+v, %v", found, err)
	}
}
