// Package invariant watches a deployment while it is under way and ends it as
// soon as one of four things does not hold any more:
//
//	I1  each active Service has as many ready endpoints as when it began
//	I2  no pod is told to end while requests may still be on their way to it
//	I3  no active Service selects nothing, or fewer ready pods than it did
//	I4  nobody else writes: no later sequence, no selector of another's making
//
// Its noun is the breach. Judge is pure and says whether there is one at a
// moment; the tracker remembers what a moment does not show; Watch feeds both
// from watches of the Services, their endpoint slices, their pods and the
// workloads. deploy begins a Watch before its first write and carries its steps
// out under the context that it returns.
//
// It writes nothing. Of plans it knows the marks on objects only. Its credentials need to list and watch
// services, endpointslices, pods and the workloads in the namespace.
package invariant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// Config is what is to be watched.
type Config struct {
	Cluster   *kube.Cluster
	Log       *runbook.Runbook
	Namespace string
	Revision  int    // the sequence of this deployment
	Strategy  string // rolling, immutable or blue-green
	// Propagation is how long every node may take to hear of a change of
	// endpoints.
	Propagation time.Duration
	// Services are the active ones that this deployment keeps: no preview, and
	// none that it will delete. Each takes two watches, or more where selectors
	// differ. One that is not there yet is guarded once it is.
	Services []Target
	// Workloads are what is behind the Services, old and new, and whatever else
	// carries the sequence. Each takes a watch; one may come later.
	Workloads []Workload
	// OthersOnly leaves I1 to I3 aside, as for a deployment that goes back: there
	// is nothing left to go back to.
	OthersOnly bool
	// Now is the clock, default time.Now.
	Now func() time.Time
}

// Target is an active Service.
type Target struct {
	Name string
	// Enough is how many ready endpoints are enough however many there are at
	// the beginning, which may be in the middle of an interrupted deployment:
	// what the revision wants, less what its update strategy lets be missing
	// (see EnoughOf), and for what an autoscaler sizes, what it wants now. 0
	// means that none need be left.
	Enough int
}

// Workload is a Deployment, StatefulSet or DaemonSet.
type Workload struct {
	Ref kube.Ref
	// Autoscaled says that something else sets its replicas: when it lowers
	// them, fewer endpoints are enough.
	Autoscaled bool
}

// Handle is a watch under way. It is safe for concurrent use.
type Handle struct {
	config  Config
	cancel  context.CancelCauseFunc
	changed chan struct{}
	stopped chan struct{}
	watches *watches

	mu      sync.Mutex
	tracker *tracker
	said    map[string]bool // notices that are in the log already
	found   *Breach
}

// Watch begins to watch and returns once it knows how things stand, which is
// what they are measured by from then on. The context that it returns ends
// with a refusal as its cause on a breach, so that the deployment is reverted;
// except on one of I4, where the cause is the *Breach itself and no refusal:
// then the objects are somebody else's and must be left alone (see Overtaken).
// An error means that the cluster could not be watched.
func Watch(ctx context.Context, config Config) (guarded context.Context, handle *Handle, err error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	guarded, cancel := context.WithCancelCause(ctx)
	h := &Handle{
		config: config, cancel: cancel, changed: make(chan struct{}, 1), stopped: make(chan struct{}),
		tracker: newTracker(config.Services, config.Workloads), said: map[string]bool{},
	}
	if h.watches, err = newWatches(guarded, config, h.notify); err == nil {
		err = h.watches.wait(guarded, h.changed)
	}
	if err != nil {
		cancel(nil)
		return nil, nil, fmt.Errorf("watch the invariants of the deployment: %w", err)
	}
	h.look()
	go h.run(guarded)
	return guarded, h, nil
}

// Overtaken is the breach of I4 in an error, nil when there is none: a newer
// deployment, or somebody's hand, owns the objects.
func Overtaken(err error) *Breach {
	if found, ok := errors.AsType[*Breach](err); ok && found.Overtaken {
		return found
	}
	return nil
}

// Expect says that this deployment is about to give a Service that selector.
// Call it before the write: one that nobody expects is a breach of I4.
func (h *Handle) Expect(service string, selector map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.tracker.services[service]
	if s == nil {
		return fmt.Errorf("expect a selector of Service %s: it is not one of those that are watched", service)
	}
	s.expected = append(s.expected, maps.Clone(selector))
	h.watches.followPods(basis(selector))
	return nil
}

// Watches tells whether a Service is one of those that are watched.
func (h *Handle) Watches(service string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tracker.services[service] != nil
}

// Stop ends the watch, and the context that Watch returned. It returns when no
// more is written to the log.
func (h *Handle) Stop() {
	h.cancel(nil)
	<-h.stopped
}

func (h *Handle) notify() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// run looks whenever something has changed, and from time to time, since a
// breach is often that nothing changes.
func (h *Handle) run(ctx context.Context) {
	defer close(h.stopped)
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
		case <-ticker.C:
		}
		if ctx.Err() != nil {
			return
		}
		h.look()
		select { // A rollout of many pods changes something all the time.
		case <-ctx.Done():
			return
		case <-time.After(lookRest):
		}
	}
}

// look judges this moment, and ends the deployment when it must.
func (h *Handle) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, err := h.watches.hold(h.config.Now())
	if err != nil {
		h.cancel(fmt.Errorf("watch the invariants of the deployment: %w", err))
		return
	}
	view := h.tracker.see(held)
	base := Baseline{
		Revision: h.config.Revision, DetachFirst: h.config.Strategy != plan.Rolling, Propagation: h.config.Propagation, OthersOnly: h.config.OthersOnly,
	}
	for _, notice := range Notices(view, base) {
		if !h.said[notice] {
			h.said[notice] = true
			h.config.Log.Line("watch   %s", notice)
		}
	}
	if h.found = Judge(view, base); h.found == nil {
		return
	}
	h.config.Log.Line("watch   %s", h.found)
	if h.found.Overtaken {
		h.cancel(h.found)
		return
	}
	h.cancel(refusal.New("%v", h.found))
}
