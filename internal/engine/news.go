package engine

import (
	"slices"
	"strings"
	"sync"
)

// News tells one onlooker which pipelines have changed. It costs nothing while
// nothing changes. It is safe for concurrent use.
type News struct {
	// Come receives when there is something to take. Several changes may arrive
	// as one.
	Come <-chan struct{}

	come    chan struct{}
	mu      sync.Mutex
	changed map[string]bool
}

// Take returns the names of the pipelines that have changed since the last
// Take, sorted.
func (n *News) Take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := make([]string, 0, len(n.changed))
	for name := range n.changed {
		names = append(names, name)
	}
	clear(n.changed)
	slices.Sort(names)
	return names
}

func (n *News) add(names []string) {
	n.mu.Lock()
	for _, name := range names {
		n.changed[name] = true
	}
	n.mu.Unlock()
	select {
	case n.come <- struct{}{}:
	default: // something is already waiting to be taken
	}
}

// WatchAll tells of the changes of executions and transitions of all pipelines
// from now on; not of lines of progress. The caller calls stop when it no longer
// looks.
func (e *Engine) WatchAll() (news *News, stop func()) {
	come := make(chan struct{}, 1)
	news = &News{Come: come, come: come, changed: map[string]bool{}}
	w := &e.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.news[news] = true
	return news, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.news, news)
	}
}

// spread tells all who watch everything.
func (w *watchers) spread(pipelines ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(pipelines) == 0 {
		return
	}
	for n := range w.news {
		n.add(pipelines)
	}
}

// pipelinesOf are those that executions are of, by their ids.
func pipelinesOf(executions []string) []string {
	var names []string
	for _, id := range executions {
		if end := strings.LastIndexByte(id, '-'); end > 0 && !slices.Contains(names, id[:end]) {
			names = append(names, id[:end])
		}
	}
	return names
}
