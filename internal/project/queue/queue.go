// Package queue says which build is the next: its noun is the Turn, for which a
// build waits between being asked for and its first phase. It knows neither
// projects nor builds but by the room that they take.
package queue

import (
	"context"
	"slices"
	"sync"
)

// Queue lets builds begin in the order in which they came, as far as there is
// room: so many at once as the machine has cores, of those that run on it, and
// so many of a project as its limit says. One that waits for its project's
// limit is passed by others; one that waits for the machine is not, so that
// none starves. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	cores   int
	busy    int            // cores that are taken
	running map[string]int // builds by project
	waiting []*Turn        // in the order in which they came
}

// Place is what a build needs in order to begin.
type Place struct {
	Project string
	Limit   int  // builds of the project at once, 0 for any number
	Host    bool // it takes one of the machine's cores
}

// Turn is the place of one build in the queue.
type Turn struct {
	Place
	queue  *Queue
	begins chan struct{} // closed when the build may begin
	counts bool          // among those that run
	left   bool
}

// New makes a queue of a machine with so many cores, at least one.
func New(cores int) *Queue {
	return &Queue{cores: max(cores, 1), running: map[string]int{}}
}

// Join takes the last place of the queue. Whoever joins must leave.
func (q *Queue) Join(p Place) *Turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &Turn{Place: p, queue: q, begins: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.admit()
	return t
}

// Pass is the turn of what takes no room: it has begun.
func (q *Queue) Pass() *Turn {
	t := &Turn{queue: q, begins: make(chan struct{}), left: true}
	close(t.begins)
	return t
}

// Wait returns when the build may begin, or with the cause of ctx's end before
// that.
func (t *Turn) Wait(ctx context.Context) error {
	if t.Begun() {
		return nil
	}
	select {
	case <-t.begins:
		return nil
	case <-ctx.Done():
		if t.Begun() {
			return nil
		}
		return context.Cause(ctx)
	}
}

// Begun tells whether the build may begin.
func (t *Turn) Begun() bool {
	select {
	case <-t.begins:
		return true
	default:
		return false
	}
}

// Leave gives back what the build had, wherever it stands. Leaving twice does
// nothing.
func (t *Turn) Leave() {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.left {
		return
	}
	t.left = true
	if t.counts {
		q.count(t, -1)
	} else {
		q.waiting = slices.DeleteFunc(q.waiting, func(other *Turn) bool { return other == t })
	}
	q.admit()
}

// Lengths are how many builds run and how many wait.
func (q *Queue) Lengths() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.running {
		running += n
	}
	return running, len(q.waiting)
}

// admit lets all begin that may.
func (q *Queue) admit() {
	q.waiting = slices.DeleteFunc(q.waiting, func(t *Turn) bool {
		if t.Host && q.busy >= q.cores || t.Limit > 0 && q.running[t.Project] >= t.Limit {
			return false
		}
		t.counts = true
		q.count(t, 1)
		close(t.begins)
		return true
	})
}

func (q *Queue) count(t *Turn, by int) {
	if t.Host {
		q.busy += by
	}
	if q.running[t.Project] += by; q.running[t.Project] == 0 {
		delete(q.running, t.Project)
	}
}
