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
	request := store.ClientRequest{Operation: "Start", Token: "t", Digest: "d", At: monday}
	claim := func(r store.ClientRequest, takeover time.Time) (store.ClientRequest, bool) {
		t.Helper()
		known, ok, err := db.ClaimRequest(ctx, r, takeover)
		if err != nil {
			t.Fatal(err)
		}
		return known, ok
	}
	t.Run("a token is claimed once", func(t *testing.T) {
		if known, ok := claim(request, time.Time{}); ok {
			t.Errorf("known already: %+v", known)
		}
		if known, ok := claim(request, monday); !ok || known != request {
			t.Errorf("claimed twice: %+v %v", known, ok)
		}
	})
	t.Run("a claim that was left is taken over by the same request alone", func(t *testing.T) {
		other := request
		other.Digest = "other"
		if _, ok := claim(other, monday.Add(time.Second)); !ok {
			t.Error("another request took the token")
		}
		if _, ok := claim(request, monday.Add(time.Second)); ok {
			t.Error("the same request did not get it")
		}
	})
	t.Run("its answer is known", func(t *testing.T) {
		if err := db.AnswerRequest(ctx, "Start", "t", "web-1"); err != nil {
			t.Fatal(err)
		}
		if known, ok := claim(request, tuesday); !ok || known.Answer != "web-1" {
			t.Errorf("got %+v %v", known, ok)
		}
	})
	t.Run("an answer cannot be taken back, a claim can", func(t *testing.T) {
		claim(store.ClientRequest{Operation: "Start", Token: "u", Digest: "d", At: monday}, time.Time{})
		for _, token := range []string{"t", "u"} {
			if err := db.AnswerRequest(ctx, "Start", token, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := claim(request, tuesday); !ok {
			t.Error("the answer is gone")
		}
		if _, ok := claim(store.ClientRequest{Operation: "Start", Token: "u", Digest: "v", At: monday}, time.Time{}); ok {
			t.Error("the claim is still there")
		}
	})
	t.Run("it is forgotten after a day", func(t *testing.T) {
		later := request
		later.At = tuesday.Add(time.Minute)
		if _, ok := claim(later, time.Time{}); ok {
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
