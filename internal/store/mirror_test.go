package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

func TestMirrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	ctx := t.Context()
	web := store.Mirror{Name: "web", URL: "https://github.com/acme/web", Forge: "github", Sealed: []byte("1web"), Interval: 5 * time.Minute, Created: monday}
	if err := db.AddMirror(ctx, web, false); err != nil {
		t.Fatal(err)
	}
	want := web
	want.NextLook, want.Updated = monday, monday
	check := func(t *testing.T) {
		t.Helper()
		got, err := open(t, dir).Mirror(ctx, "web")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, mirror (-want +got):\n%s", err, diff)
		}
	}
	due := func(t *testing.T, now time.Time, want ...string) {
		t.Helper()
		got, err := db.DueMirrors(ctx, now)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, due (-want +got):\n%s", err, diff)
		}
	}
	t.Run("a new one is due at once", func(t *testing.T) {
		check(t)
		due(t, monday.Add(-time.Millisecond))
		due(t, monday, "web")
	})
	t.Run("a taken name is refused", func(t *testing.T) {
		if err := db.AddMirror(ctx, web, false); !errors.Is(err, store.ErrExists) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a look is kept", func(t *testing.T) {
		want.LastLook, want.NextLook, want.LastError, want.Failures = monday, monday.Add(30*time.Second), "gone", 1
		if err := db.MirrorLooked(ctx, "web", store.MirrorLook{Started: monday, Next: want.NextLook, Failures: 1, Error: "gone"}); err != nil {
			t.Fatal(err)
		}
		check(t)
		due(t, monday.Add(29*time.Second))
		due(t, monday.Add(30*time.Second), "web")
	})
	t.Run("who asks hastens the next look", func(t *testing.T) {
		if err := hasten(ctx, db, monday.Add(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		due(t, monday.Add(10*time.Second), "web")
	})
	t.Run("also when one is under way, which may have come too early", func(t *testing.T) {
		if err := db.MirrorLooked(ctx, "web", store.MirrorLook{Started: monday.Add(9 * time.Second), Next: tuesday}); err != nil {
			t.Fatal(err)
		}
		due(t, monday.Add(10*time.Second), "web")
		if err := db.MirrorLooked(ctx, "web", store.MirrorLook{Started: monday.Add(11 * time.Second), Next: tuesday}); err != nil {
			t.Fatal(err)
		}
		due(t, monday.Add(time.Hour))
		want.LastLook, want.NextLook, want.LastError, want.Failures = monday.Add(11*time.Second), tuesday, "", 0
		check(t)
	})
	t.Run("one that is replaced is due again, with its history", func(t *testing.T) {
		if err := db.MirrorLooked(ctx, "web", store.MirrorLook{Started: monday, Next: tuesday.AddDate(0, 0, 1), Failures: 7, Error: "denied"}); err != nil {
			t.Fatal(err)
		}
		next := web
		next.URL, next.Sealed, next.Created = "https://github.com/acme/web2", []byte("2web"), tuesday
		if err := db.AddMirror(ctx, next, true); err != nil {
			t.Fatal(err)
		}
		want.URL, want.Sealed, want.Updated, want.NextLook, want.LastLook, want.Failures, want.LastError = next.URL, next.Sealed, tuesday, tuesday, monday, 0, ""
		check(t)
	})
	t.Run("those that wait longest come first", func(t *testing.T) {
		for name, created := range map[string]time.Time{"a": tuesday.Add(2), "b": monday} {
			if err := db.AddMirror(ctx, store.Mirror{Name: name, URL: "u", Sealed: []byte{1}, Interval: time.Minute, Created: created}, false); err != nil {
				t.Fatal(err)
			}
		}
		due(t, tuesday.Add(time.Hour), "b", "a", "web")
		all, err := db.Mirrors(ctx)
		if err != nil || len(all) != 3 || all[0].Name != "a" || all[2].Name != "web" {
			t.Errorf("%v, %+v", err, all)
		}
	})
	t.Run("all are sealed anew or none", func(t *testing.T) {
		boom := errors.New("boom")
		_, err := db.ResealMirrors(ctx, func(name string, _ []byte) ([]byte, error) {
			if name == "web" {
				return nil, boom
			}
			return []byte("x"), nil
		})
		if m, _ := db.Mirror(ctx, "a"); !errors.Is(err, boom) || string(m.Sealed) != "\x01" {
			t.Errorf("%v left %q", err, m.Sealed)
		}
		count, err := db.ResealMirrors(ctx, func(_ string, sealed []byte) ([]byte, error) { return append([]byte("new "), sealed...), nil })
		if m, _ := db.Mirror(ctx, "web"); err != nil || count != 3 || string(m.Sealed) != "new 2web" {
			t.Errorf("%d, %v left %q", count, err, m.Sealed)
		}
	})
	t.Run("a removed one is gone", func(t *testing.T) {
		if err := db.RemoveMirror(ctx, "web"); err != nil {
			t.Fatal(err)
		}
		_, err := db.Mirror(ctx, "web")
		for _, err := range []error{err, db.RemoveMirror(ctx, "web"), hasten(ctx, db, monday)} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("error %v", err)
			}
		}
		if err := db.MirrorLooked(ctx, "web", store.MirrorLook{Started: monday, Next: monday}); err != nil {
			t.Errorf("a look that ends after it: %v", err)
		}
	})
}

func hasten(ctx context.Context, db *store.DB, at time.Time) error {
	return db.Update(ctx, func(q store.Querier) error { return store.HastenMirror(ctx, q, "web", at) })
}

func takeDelivery(ctx context.Context, db *store.DB, hook string, keys []string, at time.Time) error {
	return db.Update(ctx, func(q store.Querier) error { return store.TakeDelivery(ctx, q, hook, keys, at) })
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	ctx := t.Context()
	take := func(t *testing.T, hook string, at time.Time, want bool, keys ...string) {
		t.Helper()
		if err := takeDelivery(ctx, db, hook, keys, at); (err == nil) != want || !want && !errors.Is(err, store.ErrTaken) {
			t.Errorf("%s %q: %v", hook, keys, err)
		}
	}
	take(t, "web", monday, true, "id:1", "body:a")
	t.Run("one key that is known is enough, and the others are not kept then", func(t *testing.T) {
		take(t, "web", monday, false, "id:2", "body:a")
		take(t, "web", monday, false, "id:1")
		take(t, "web", monday, true, "id:2")
	})
	t.Run("webhooks do not know of one another", func(t *testing.T) { take(t, "shop", monday, true, "id:1") })
	t.Run("what was taken in a transaction that failed is new again", func(t *testing.T) {
		err := db.Update(ctx, func(q store.Querier) error {
			return errors.Join(store.TakeDelivery(ctx, q, "web", []string{"id:9"}, monday), errors.New("no"))
		})
		if err == nil {
			t.Fatal("the transaction did not fail")
		}
		take(t, "web", monday, true, "id:9")
	})
	t.Run("of many at a time one is fresh", func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		count := 0
		for range 8 {
			all.Go(func() {
				err := takeDelivery(ctx, db, "web", []string{"id:3"}, tuesday)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					count++
				} else if !errors.Is(err, store.ErrTaken) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if count != 1 {
			t.Errorf("%d were fresh", count)
		}
	})
	t.Run("old ones are forgotten", func(t *testing.T) {
		take(t, "web", monday.AddDate(0, 0, 91), true, "id:4")
		take(t, "web", monday.AddDate(0, 0, 91), true, "id:1")
	})
}
