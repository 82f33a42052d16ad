package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

func TestClientRequests(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	ctx := t.Context()
	request := store.ClientRequest{Operation: "Start", Token: "t", Digest: "d", Answer: "1", At: monday}
	undone := errors.New("undone")
	keep := func(r store.ClientRequest, outcome error) (known store.ClientRequest, ok bool) {
		t.Helper()
		err := db.Update(ctx, func(q store.Querier) (err error) {
			known, ok, err = store.KeepRequest(ctx, q, r)
			return errors.Join(err, outcome)
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
		return known, ok
	}
	t.Run("what was not carried out is not kept", func(t *testing.T) {
		for _, outcome := range []error{undone, nil} {
			if known, ok := keep(request, outcome); ok {
				t.Errorf("known already: %+v", known)
			}
		}
	})
	t.Run("a token that is known tells what was asked and answered", func(t *testing.T) {
		other := store.ClientRequest{Operation: "Start", Token: "t", Digest: "other", Answer: "2", At: monday}
		if known, ok := keep(other, nil); !ok || known != request {
			t.Errorf("got %+v %v", known, ok)
		}
	})
	t.Run("it is forgotten after a day", func(t *testing.T) {
		later := request
		later.At = tuesday.Add(time.Minute)
		if _, ok := keep(later, nil); ok {
			t.Error("it is known for ever")
		}
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	ctx := t.Context()
	tags := func(resource string, want ...store.Tag) {
		t.Helper()
		got, err := db.Tags(ctx, resource)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, tags of %s (-want +got):\n%s", err, resource, diff)
		}
	}
	if err := errors.Join(
		db.AddTags(ctx, "web", []store.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}, 2),
		db.AddTags(ctx, "shop", []store.Tag{{Key: "a", Value: "3"}}, 2),
		db.AddTags(ctx, "web", []store.Tag{{Key: "b", Value: "4"}}, 2),
	); err != nil {
		t.Fatal(err)
	}
	tags("web", store.Tag{Key: "a", Value: "2"}, store.Tag{Key: "b", Value: "4"})
	if err := db.AddTags(ctx, "web", []store.Tag{{Key: "a", Value: "5"}, {Key: "c", Value: "6"}}, 2); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("error %v", err)
	}
	tags("web", store.Tag{Key: "a", Value: "2"}, store.Tag{Key: "b", Value: "4"})
	if err := db.RemoveTags(ctx, "web", []string{"a", "none"}); err != nil {
		t.Fatal(err)
	}
	tags("web", store.Tag{Key: "b", Value: "4"})
	if err := db.ForgetTags(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	tags("web")
	tags("shop", store.Tag{Key: "a", Value: "3"})
}
