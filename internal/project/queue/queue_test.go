package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// begun tells which of the turns may begin.
func begun(turns ...*Turn) (which []bool) {
	for _, t := range turns {
		which = append(which, t.Begun())
	}
	return which
}

func TestBuildsBeginInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	q := New(2)
	join := func(project string, limit int, host bool) *Turn {
		return q.Join(Place{Project: project, Limit: limit, Host: host})
	}
	a1, a2 := join("a", 1, true), join("a", 1, true)
	b1, b2 := join("b", 0, true), join("b", 0, true)
	pod := join("b", 0, false)
	is := func(when string, want ...bool) {
		t.Helper()
		if diff := cmp.Diff(want, begun(a1, a2, b1, b2, pod)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	is("at first: a2 waits for its project and b2 for a core", true, false, true, false, true)
	a1.Leave()
	a1.Leave()
	is("a core and the project are free: a2 came first", true, true, true, false, true)
	b1.Leave()
	is("a core is free", true, true, true, true, true)
	for _, turn := range []*Turn{a2, b2, pod} {
		turn.Leave()
	}
	if running, waiting := q.Lengths(); running != 0 || waiting != 0 || q.busy != 0 {
		t.Errorf("%d run, %d wait, %d cores are taken", running, waiting, q.busy)
	}
}

func TestWhoLeavesTheQueueHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	q := New(1)
	first, second, third := q.Join(Place{Host: true}), q.Join(Place{Host: true}), q.Join(Place{Host: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	no := errors.New("no more")
	cancel(no)
	if err := second.Wait(ctx); !errors.Is(err, no) {
		t.Errorf("waited: %v", err)
	}
	second.Leave()
	first.Leave()
	if err := third.Wait(ctx); err != nil {
		t.Errorf("whose turn it is must not be told that it waited in vain: %v", err)
	}
}

// TestManyBuildsAtOnce has builds of projects with limits come and go: no limit
// is ever passed and all have their turn.
func TestManyBuildsAtOnce(t *testing.T) {
	t.Parallel()
	const cores = 3
	q := New(cores)
	var hosts, limited, done atomic.Int32
	var all sync.WaitGroup
	for i := range 500 {
		p := Place{Project: "free", Host: rand.IntN(3) > 0}
		if i%4 == 0 {
			p.Project, p.Limit = "limited", 2
		}
		turn := q.Join(p)
		all.Go(func() {
			defer turn.Leave()
			if err := turn.Wait(t.Context()); err != nil {
				t.Error(err)
				return
			}
			if p.Host {
				if n := hosts.Add(1); n > cores {
					t.Errorf("%d builds run on %d cores", n, cores)
				}
				defer hosts.Add(-1)
			}
			if p.Limit > 0 {
				if n := limited.Add(1); n > 2 {
					t.Errorf("%d builds of a project run whose limit is 2", n)
				}
				defer limited.Add(-1)
			}
			done.Add(1)
		})
	}
	all.Wait()
	if done.Load() != 500 {
		t.Errorf("%d of 500 had their turn", done.Load())
	}
}

// lateContext ends in the moment in which somebody waits for its end, after
// another thing has happened.
type lateContext struct {
	context.Context
	before func()
}

func (c lateContext) Done() <-chan struct{} {
	c.before()
	return c.Context.Done()
}

func TestATurnThatComesWithTheEndOfWaitingIsTaken(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		q := New(1)
		first, second := q.Join(Place{Host: true}), q.Join(Place{Host: true})
		if err := second.Wait(lateContext{ctx, first.Leave}); err != nil {
			t.Fatalf("it is its turn, and it has waited in vain: %v", err)
		}
	}
}
