package rounds_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/rounds"
)

// book is what is due, and what was done when.
type book struct {
	mu    sync.Mutex
	start time.Time
	due   []string
	fails error
	done  []string // with the seconds since the start
	busy  map[string]bool
	most  int
}

func open(due ...string) *book {
	return &book{start: time.Now(), due: due, busy: map[string]bool{}}
}

func (b *book) list(context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.due), b.fails
}

// do takes so long, and strikes out what it has done.
func (b *book) do(t *testing.T, takes func(key string) time.Duration) func(context.Context, string) {
	return func(ctx context.Context, key string) {
		b.mu.Lock()
		if b.busy[key] {
			t.Errorf("%s is done twice at once", key)
		}
		b.busy[key] = true
		b.most = max(b.most, len(b.busy))
		b.done = append(b.done, time.Since(b.start).String()+" "+key)
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(takes(key)):
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.busy, key)
		b.due = slices.DeleteFunc(b.due, func(k string) bool { return k == key })
	}
}

// walks makes rounds while a function runs.
func walks(b *book, cfg rounds.Config, during func(*rounds.Rounds)) {
	cfg.Due, cfg.What, cfg.Logger = b.list, "test", slog.New(slog.DiscardHandler)
	cfg.Every = 10 * time.Second
	r := rounds.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var walk sync.WaitGroup
	walk.Go(func() { r.Walk(ctx) })
	during(r)
	cancel()
	walk.Wait()
}

func takes(d time.Duration) func(string) time.Duration {
	return func(string) time.Duration { return d }
}

func TestOneThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open("a", "b")
		hangs := func(key string) time.Duration {
			if key == "a" {
				return time.Hour
			}
			return time.Second
		}
		walks(b, rounds.Config{Parallel: 4, Do: b.do(t, hangs)}, func(*rounds.Rounds) {
			time.Sleep(5 * time.Second)
			b.mu.Lock()
			b.due = append(b.due, "c")
			b.mu.Unlock()
			time.Sleep(time.Minute)
		})
		slices.Sort(b.done)
		if diff := cmp.Diff([]string{"0s a", "0s b", "10s c"}, b.done); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(b.busy) != 0 {
			t.Errorf("Walk has left %v behind", b.busy)
		}
	})
}

func TestSoManyAreDoneAtATimeAndTheRestAtOnceThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open("a", "b", "c", "d", "e")
		walks(b, rounds.Config{Parallel: 2, Do: b.do(t, takes(time.Second))}, func(*rounds.Rounds) { time.Sleep(5 * time.Second) })
		if len(b.done) != 5 || b.most != 2 {
			t.Errorf("%d at a time: %v", b.most, b.done)
		}
	})
}

func TestWakingBeginsARound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open()
		walks(b, rounds.Config{Parallel: 2, Do: b.do(t, takes(time.Second))}, func(r *rounds.Rounds) {
			time.Sleep(2 * time.Second)
			b.mu.Lock()
			b.due = []string{"a"}
			b.mu.Unlock()
			r.Wake()
			synctest.Wait()
		})
		if diff := cmp.Diff([]string{"2s a"}, b.done); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// What stays due, because its end could not be kept, must not be tried again
// and again without a pause.
func TestWhatStaysDueWaitsForTheNextRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open("a")
		times := 0
		walks(b, rounds.Config{Parallel: 2, Do: func(context.Context, string) { times++ }}, func(*rounds.Rounds) { time.Sleep(25 * time.Second) })
		if times != 3 {
			t.Errorf("it was done %d times in 25 seconds", times)
		}
	})
}

func TestAListThatCannotBeReadIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open()
		b.fails = errors.New("locked")
		walks(b, rounds.Config{Parallel: 2, Do: b.do(t, takes(time.Second))}, func(*rounds.Rounds) {
			time.Sleep(5 * time.Second)
			b.mu.Lock()
			b.due, b.fails = []string{"a"}, nil
			b.mu.Unlock()
			time.Sleep(10 * time.Second)
		})
		if diff := cmp.Diff([]string{"10s a"}, b.done); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
