package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// found is what a Watcher has told, with the time since the start.
type found struct {
	mu    sync.Mutex
	start time.Time
	told  []string
}

func (f *found) tell(_ context.Context, key, version string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, fmt.Sprintf("%v %s %s", time.Since(f.start), key, version))
	return nil
}

// watches runs a Watcher for a time that passes at once.
func watches(t *testing.T, cfg WatchConfig, during func()) {
	t.Helper()
	cfg.Every, cfg.Random = time.Second, half
	w := NewWatcher(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { w.Watch(ctx) })
	during()
	cancel()
	done.Wait()
}

func TestWatchLooksNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &found{start: time.Now()}
		var version atomic.Int32
		var listed atomic.Bool
		listed.Store(true)
		object := Watched{Key: "s3", Interval: time.Minute, Newest: func(context.Context) (string, error) { return fmt.Sprint(version.Load()), nil }}
		sources := func(context.Context) ([]Watched, error) {
			if listed.Load() {
				return []Watched{object}, nil
			}
			return nil, nil
		}
		watches(t, WatchConfig{Found: f.tell, Sources: sources}, func() {
			// Half a second off, so that nothing changes in the moment of a look.
			time.Sleep(100*time.Second + time.Second/2)
			version.Store(1)
			time.Sleep(time.Minute)
			listed.Store(false)
			time.Sleep(10 * time.Minute)
			listed.Store(true)
			time.Sleep(30 * time.Second)
		})
		want := []string{"15s s3 0", "1m15s s3 0", "2m15s s3 1", "12m56s s3 1"}
		if diff := cmp.Diff(want, f.told); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestWatchBacksOff(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want []time.Duration
	}{
		"from what is away, quickly at first": {&Error{Kind: ErrUnreachable}, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}},
		"from what is not there, slowly":      {&Error{Kind: ErrNoObject}, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var looks []time.Time
				s := Watched{Key: "s3", Interval: time.Minute, Newest: func(context.Context) (string, error) {
					looks = append(looks, time.Now())
					return "", tt.err
				}}
				watches(t, WatchConfig{Sources: func(context.Context) ([]Watched, error) { return []Watched{s}, nil }}, func() { time.Sleep(9 * time.Minute) })
				var waits []time.Duration
				for i := 1; i < 4; i++ {
					waits = append(waits, looks[i].Sub(looks[i-1]))
				}
				if diff := cmp.Diff(tt.want, waits); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWatchTellsAgainWhatCouldNotBeTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := Watched{Key: "image", Interval: time.Hour, Newest: func(context.Context) (string, error) { return "sha256:1", nil }}
		watches(t, WatchConfig{
			Sources: func(context.Context) ([]Watched, error) { return []Watched{s}, nil },
			Found: func(context.Context, string, string) error {
				if calls++; calls == 1 {
					return errors.New("locked")
				}
				return nil
			},
		}, func() { time.Sleep(10 * time.Minute) })
		if calls != 2 {
			t.Errorf("told %d times", calls)
		}
	})
}

func TestWatchLooksAtSomeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most, all := 0, 0, 0
		var sources []Watched
		for i := range 10 {
			sources = append(sources, Watched{Key: fmt.Sprint(i), Interval: time.Hour, Newest: func(context.Context) (string, error) {
				mu.Lock()
				now++
				all++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(5 * time.Second)
				mu.Lock()
				defer mu.Unlock()
				now--
				return "1", nil
			}})
		}
		f := &found{start: time.Now()}
		watches(t, WatchConfig{Found: f.tell, Sources: func(context.Context) ([]Watched, error) { return sources, nil }}, func() { time.Sleep(time.Minute) })
		if most != 4 || all != 10 {
			t.Errorf("%d at a time, %d in all", most, all)
		}
	})
}
