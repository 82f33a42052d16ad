package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// schedule is a MirrorStore in memory.
type schedule struct {
	mu    sync.Mutex
	all   map[string]*scheduled
	fails error
}

type scheduled struct {
	ScheduledMirror
	next, asked time.Time
	looks       []Look
}

func newSchedule(now time.Time, names ...string) *schedule {
	s := &schedule{all: map[string]*scheduled{}}
	for _, name := range names {
		s.all[name] = &scheduled{ScheduledMirror: ScheduledMirror{Mirror: Mirror{Name: name}, Interval: time.Minute}, next: now}
	}
	return s
}

func (s *schedule) DueMirrors(_ context.Context, now time.Time) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []string
	for name, m := range s.all {
		if !m.next.After(now) {
			due = append(due, name)
		}
	}
	slices.Sort(due)
	return due, s.fails
}

func (s *schedule) LoadMirror(_ context.Context, name string) (ScheduledMirror, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[name].ScheduledMirror, nil
}

func (s *schedule) MirrorLooked(_ context.Context, name string, look Look) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all[name]
	m.looks = append(m.looks, look)
	m.Failures, m.next = look.Failures, look.Next
	if !m.asked.Before(look.Started) {
		m.next = look.Started
	}
	return nil
}

func (s *schedule) hasten(name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[name].next, s.all[name].asked = now, now
}

func (s *schedule) waits(name string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waits []time.Duration
	looks := s.all[name].looks
	for i := 1; i < len(looks); i++ {
		waits = append(waits, looks[i].Started.Sub(looks[i-1].Started))
	}
	return waits
}

// half makes the pauses exact.
func half() float64 { return 0.5 }

// polls runs a Poller for a time that passes at once.
func polls(t *testing.T, s *schedule, edit func(*PollConfig), during func(p *Poller)) {
	t.Helper()
	cfg := PollConfig{Mirrors: s, Every: time.Second, Random: half, Moved: func(context.Context, Push) {},
		Update: func(context.Context, Mirror) (Push, error) { return Push{}, nil }}
	edit(&cfg)
	p := NewPoller(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { p.Poll(ctx) })
	during(p)
	cancel()
	done.Wait()
}

func TestPollLooksAtIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now(), "web")
		var told []Push
		polls(t, s, func(c *PollConfig) {
			looks := 0
			c.Update = func(context.Context, Mirror) (Push, error) {
				if looks++; looks != 2 {
					return Push{Repository: "web"}, nil
				}
				return Push{Repository: "web", Updates: []Update{{Ref: "refs/heads/main", New: "1"}}}, nil
			}
			c.Moved = func(_ context.Context, p Push) { told = append(told, p) }
		}, func(*Poller) { time.Sleep(3*time.Minute + 5*time.Second) })
		if diff := cmp.Diff([]time.Duration{time.Minute, time.Minute, time.Minute}, s.waits("web")); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		if len(told) != 1 {
			t.Errorf("told %+v", told)
		}
	})
}

func TestPollBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now(), "web")
		looks := 0
		polls(t, s, func(c *PollConfig) {
			c.Update = func(context.Context, Mirror) (Push, error) {
				if looks++; looks < 5 {
					return Push{}, &Error{Kind: ErrUnreachable, Message: "gone"}
				}
				return Push{}, nil
			}
		}, func(*Poller) { time.Sleep(10 * time.Minute) })
		want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, time.Minute}
		if diff := cmp.Diff(want, s.waits("web")[:5]); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		if first, fifth := s.all["web"].looks[0], s.all["web"].looks[4]; first.Error != "gone" || first.Failures != 1 || fifth.Error != "" || fifth.Failures != 0 {
			t.Errorf("first look %+v, fifth %+v", first, fifth)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		interval time.Duration
		failures int
		denied   bool
		want     time.Duration
	}{
		{"without a failure it is the interval", 5 * time.Minute, 0, false, 5 * time.Minute},
		{"after the first it is short", 5 * time.Minute, 1, false, 30 * time.Second},
		{"but never shorter than a short interval", 15 * time.Second, 1, false, 15 * time.Second},
		{"it doubles", 5 * time.Minute, 3, false, 2 * time.Minute},
		{"up to an hour", 5 * time.Minute, 50, false, time.Hour},
		{"or to an interval that is longer", 3 * time.Hour, 50, false, 3 * time.Hour},
		{"who is refused is not hurried", 5 * time.Minute, 1, true, 5 * time.Minute},
		{"and less and less", 5 * time.Minute, 2, true, 10 * time.Minute},
	} {
		if got := pause(tt.interval, tt.failures, tt.denied); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestPollSpreadsTheLooks(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0, 0.999} {
		s := newSchedule(time.Now(), "web")
		p := NewPoller(PollConfig{Mirrors: s, Random: func() float64 { return random }, Moved: func(context.Context, Push) {},
			Update: func(context.Context, Mirror) (Push, error) { return Push{}, nil }, Now: func() time.Time { return time.Unix(0, 0) }})
		must[Push](t)(p.Look(t.Context(), "web"))
		if wait := s.all["web"].next.Sub(time.Unix(0, 0)); wait < 54*time.Second || wait > 66*time.Second || wait == time.Minute {
			t.Errorf("with %v the pause is %v", random, wait)
		}
	}
}

func TestAWebhookHastensALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now(), "web")
		s.all["web"].Interval = time.Hour
		looks := 0
		polls(t, s, func(c *PollConfig) {
			c.Every = time.Hour
			c.Update = func(context.Context, Mirror) (Push, error) {
				looks++
				time.Sleep(time.Minute)
				return Push{}, nil
			}
		}, func(p *Poller) {
			time.Sleep(10 * time.Minute)
			s.hasten("web", time.Now())
			p.Wake()
			time.Sleep(30 * time.Second)
			// And one that comes while it is being looked at: the fetch may
			// have missed what it tells of.
			s.hasten("web", time.Now())
			p.Wake()
			time.Sleep(10 * time.Minute)
		})
		if looks != 3 {
			t.Errorf("there were %d looks", looks)
		}
	})
}

func TestPollFetchesSomeMirrorsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("m%d", i))
		}
		s := newSchedule(time.Now(), names...)
		var mu sync.Mutex
		now, most, all := 0, 0, map[string]bool{}
		polls(t, s, func(c *PollConfig) {
			c.Parallel = 3
			c.Update = func(_ context.Context, m Mirror) (Push, error) {
				mu.Lock()
				now++
				most = max(most, now)
				all[m.Name] = true
				mu.Unlock()
				time.Sleep(5 * time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return Push{}, nil
			}
		}, func(*Poller) { time.Sleep(30 * time.Second) })
		if most != 3 || len(all) != 10 {
			t.Errorf("%d at a time, %d in all", most, len(all))
		}
	})
}

func TestPollEndsWithItsLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now(), "web")
		ended := false
		polls(t, s, func(c *PollConfig) {
			c.Update = func(ctx context.Context, _ Mirror) (Push, error) {
				<-ctx.Done()
				time.Sleep(time.Second)
				ended = true
				return Push{}, ctx.Err()
			}
		}, func(*Poller) { time.Sleep(time.Second) })
		if !ended || len(s.all["web"].looks) != 0 {
			t.Errorf("ended %v; a look that was broken off counts as %+v", ended, s.all["web"].looks)
		}
	})
}

func TestPollOutlivesAFaultOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now().Add(time.Minute), "web")
		s.fails = errors.New("locked")
		polls(t, s, func(*PollConfig) {}, func(*Poller) {
			time.Sleep(30 * time.Second)
			s.mu.Lock()
			s.fails = nil
			s.mu.Unlock()
			time.Sleep(time.Minute)
		})
		if len(s.all["web"].looks) != 1 {
			t.Errorf("%d looks", len(s.all["web"].looks))
		}
	})
}

// The same with real git over real HTTP.
func TestALookFindsAPush(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f, n := farAway(t), near(t, nil)
	c := work(t, f.create(t, "web"))
	c.git("push", "origin", "main")
	must[Push](t)(n.AddMirror(ctx, f.mirror("web")))
	s := newSchedule(time.Now(), "web")
	s.all["web"].Mirror = f.mirror("web")
	var told []Push
	p := NewPoller(PollConfig{Update: n.UpdateMirror, Mirrors: s, Moved: func(_ context.Context, push Push) { told = append(told, push) }})
	must[Push](t)(p.Look(ctx, "web"))
	if len(told) != 0 {
		t.Errorf("nothing has moved, but told was %+v", told)
	}
	want := c.commit("a", "1", "Second")
	c.git("push", "origin", "main")
	f.goAway(502)
	_, err := p.Look(ctx, "web")
	wantKind(t, err, ErrUnreachable)
	f.goAway(0)
	must[Push](t)(p.Look(ctx, "web"))
	if len(told) != 1 || told[0].Updates[0].New != want {
		t.Errorf("told was %+v", told)
	}
	looks := s.all["web"].looks
	if len(looks) != 3 || looks[1].Failures != 1 || looks[1].Error != err.Error() || looks[2].Failures != 0 {
		t.Errorf("looks %+v", looks)
	}
}
