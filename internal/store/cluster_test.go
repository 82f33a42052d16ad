package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/store"
)

var (
	monday  = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	tuesday = monday.AddDate(0, 0, 1)
)

func TestClusters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	ctx := t.Context()
	for _, name := range []string{"staging", "production"} {
		if err := db.AddCluster(ctx, store.Cluster{Name: name, Sealed: []byte("1" + name), Created: monday}, false); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a taken name is refused", func(t *testing.T) {
		if err := db.AddCluster(ctx, store.Cluster{Name: "staging", Sealed: []byte("x"), Created: tuesday}, false); !errors.Is(err, store.ErrExists) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("unless it is to be replaced", func(t *testing.T) {
		if err := db.AddCluster(ctx, store.Cluster{Name: "staging", Sealed: []byte("2staging"), Created: tuesday}, true); err != nil {
			t.Fatal(err)
		}
		want := []store.Cluster{
			{Name: "production", Sealed: []byte("1production"), Created: monday, Updated: monday},
			{Name: "staging", Sealed: []byte("2staging"), Created: monday, Updated: tuesday},
		}
		got, err := open(t, dir).Clusters(ctx)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, clusters (-want +got):\n%s", err, diff)
		}
	})
	t.Run("all are sealed anew or none", func(t *testing.T) {
		boom := errors.New("boom")
		_, err := db.ResealClusters(ctx, func(name string, _ []byte) ([]byte, error) {
			if name == "staging" {
				return nil, boom
			}
			return []byte("3"), nil
		})
		if c, _ := db.Cluster(ctx, "production"); !errors.Is(err, boom) || string(c.Sealed) != "1production" {
			t.Errorf("%v left %q", err, c.Sealed)
		}
		count, err := db.ResealClusters(ctx, func(_ string, sealed []byte) ([]byte, error) { return append([]byte("new "), sealed...), nil })
		if c, _ := db.Cluster(ctx, "staging"); err != nil || count != 2 || string(c.Sealed) != "new 2staging" {
			t.Errorf("%d, %v left %q", count, err, c.Sealed)
		}
	})
	t.Run("a removed one is gone", func(t *testing.T) {
		if err := db.RemoveCluster(ctx, "staging"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Cluster(ctx, "staging"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if err := db.RemoveCluster(ctx, "staging"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}
