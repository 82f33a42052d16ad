package verdict

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// The timing of the prober.
const (
	baselineRequests = 25                     // answered before anything is changed
	baselineTime     = 2 * time.Second        // at most, for them
	afterRollout     = time.Second            // of requests after the rollout is done
	firstWindow      = 2 * time.Second        // of requests when none could be sent before
	reachTime        = 5 * time.Second        // until the data plane knows a new Service
	budgetTick       = 200 * time.Millisecond // how often the losses are looked at
)

// Watchman sends requests through one deployment and judges what is lost; see
// Choose. Its methods are called one after the other, as the deployment goes,
// but for Mark and Forgive: steps that are carried out at the same time may
// call these at the same time.
type Watchman struct {
	Config
	service string // name, empty when a URL is given
	foreign bool   // the Service is not one of the manifests

	ending   sync.Once
	mu       sync.Mutex
	prober   prober
	final    *pipeline.Verdict
	public   string
	armed    bool    // losses are the deployment's from now on
	deferred string  // why no request was sent through the rollout
	pardon   pardon  // the losses that the budget leaves aside
	spent    int     // of the budget, by a prober that was lost
	earlier  string  // what it had counted
	alone    bool    // a prober that was lost has no successor
	resumed  bool    // the prober of the process before is lost
	gone     Counted // by probers that have ended, of other processes too
}

// prober sends the requests of one deployment, here or elsewhere.
type prober interface {
	Snapshot() pipeline.Verdict
	Mark(text string)
	// rest lets few requests go out until wake is called; see probe.Prober.Rest.
	// Both return once it is so, or why it could not be brought about.
	rest(ctx context.Context) error
	wake(ctx context.Context) error
	// stop ends the requests and returns what they came to. What the counts
	// leave out is in its Partial.
	stop() pipeline.Verdict
	// leave ends this process's part in it. A prober elsewhere goes on, for
	// the process that takes the deployment up again.
	leave()
}

// here is a prober in this process.
type here struct{ *probe.Prober }

func (h here) stop() pipeline.Verdict { return h.Stop() }
func (h here) leave()                 { h.Stop() }

func (h here) rest(context.Context) error {
	h.Rest()
	return nil
}

func (h here) wake(context.Context) error {
	h.Wake()
	return nil
}

var _ prober = here{}

// Begin starts to send requests before anything is changed. When there is
// nobody yet to answer, or when requests are being lost already, it says so
// and leaves it to Conclude to measure what is left to measure: losses that
// the deployment did not cause must not keep it from mending them.
func (w *Watchman) Begin(ctx context.Context) error {
	if w.takeUp(ctx) {
		return nil
	}
	if w.resumed {
		w.inherit(w.Before)
		w.Log.Line("probe   the prober of another process has ended with it, %d of its %d requests were lost: they are counted from here on", w.gone.Lost, w.gone.Requests)
	}
	answered, err := w.answered(ctx)
	if err != nil || !answered {
		return err
	}
	if err := w.start(ctx, 0); err != nil {
		return err
	}
	v := w.collect(ctx, baselineRequests, baselineTime)
	if v.Lost == 0 && v.Requests > 0 {
		w.Mark(countedFromHere)
		w.arm()
		w.Log.Line("probe   %d requests to %s answered before the first change", v.Requests, v.Target)
		return nil
	}
	v = w.swap(nil).stop()
	if refusals := refusedByAPIServer(v); refusals != "" {
		return refusal.New("verify: no request reaches %s: %s. Let the account get services/proxy, or set verify.url, or verify.off to measure nothing", w.Name(), refusals)
	}
	w.deferred = fmt.Sprintf("%d of %d requests were lost before the first change (%s)", v.Lost, v.Requests, causes(v))
	w.Log.Line("probe   %s: they are not this deployment's, so its requests are counted only once the new pods serve", w.deferred)
	return nil
}

// countedFromHere marks the moment from which losses are the deployment's.
const countedFromHere = "first change"

// takeUp goes on with the prober that another process has left behind in a
// pod, so that what was counted before is not lost. What others have left
// behind is removed.
func (w *Watchman) takeUp(ctx context.Context) bool {
	left := w.leftBehind(ctx)
	if left == nil {
		return false
	}
	first := left.Snapshot()
	if !w.resumed || !slices.ContainsFunc(first.Marks, func(m pipeline.Mark) bool { return m.Text == countedFromHere }) {
		left.stop() // It had not seen the application in good health yet.
		return false
	}
	w.swap(left)
	w.takenUp(first)
	if w.Before != nil {
		w.inherit(w.Before.Gone)
	}
	w.resumed = false
	w.arm()
	w.Log.Line("probe   %s has gone on meanwhile: %s", first.Via, first)
	return true
}

// swap replaces the prober and returns the one before.
func (w *Watchman) swap(p prober) prober {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.prober
	w.prober = p
	return before
}

// current is the prober, nil while no requests are sent.
func (w *Watchman) current() prober {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prober
}

// answered tells whether somebody can be there to answer requests. When the
// Service has no ready endpoint yet, the measuring is put off.
func (w *Watchman) answered(ctx context.Context) (bool, error) {
	if w.Verify.URL != "" {
		return true, nil
	}
	ready, err := w.readyEndpoints(ctx)
	if err != nil || ready > 0 {
		return ready > 0, err
	}
	if w.foreign {
		if err := w.mustExist(ctx); err != nil {
			return false, err
		}
	}
	w.deferred = fmt.Sprintf("%s had no ready endpoint before", w.Name())
	w.Log.Line("probe   %s has no ready endpoint yet: requests are sent once the new pods serve", w.Name())
	return false, nil
}

// mustExist refuses a Service that nobody makes, before anything is changed.
func (w *Watchman) mustExist(ctx context.Context) error {
	_, err := w.Cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: w.Namespace, Name: w.service})
	if kube.IsNotFound(err) {
		return refusal.New("verify.service: there is no Service %s, neither in the manifests nor in namespace %s", w.service, w.Namespace)
	}
	return err
}

func (w *Watchman) readyEndpoints(ctx context.Context) (int, error) {
	slices, err := w.Cluster.EndpointSlices(ctx, w.Namespace, w.service)
	if err != nil {
		return 0, err
	}
	pointers := make([]*discoveryv1.EndpointSlice, len(slices))
	for i := range slices {
		pointers[i] = &slices[i]
	}
	ready := 0
	for _, e := range kube.Endpoints(pointers) {
		if e.Ready {
			ready++
		}
	}
	return ready, nil
}

// collect waits until so many requests have met their fate, for a time at
// most, and returns what has been counted.
func (w *Watchman) collect(ctx context.Context, requests int, atMost time.Duration) pipeline.Verdict {
	limit := time.After(atMost)
	for {
		v := w.snapshot()
		if v.Requests >= requests {
			return v
		}
		select {
		case <-ctx.Done():
			return v
		case <-limit:
			return w.snapshot()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *Watchman) snapshot() pipeline.Verdict {
	if p := w.current(); p != nil {
		return p.Snapshot()
	}
	return pipeline.Verdict{}
}

// Mark puts a moment of the deployment onto the timeline of the verdict.
func (w *Watchman) Mark(text string) {
	if p := w.current(); p != nil {
		p.Mark(text)
	}
}

// Guard returns a context that ends as soon as more requests are lost than the
// budget allows, with the refusal as its cause, or when stop is called.
func (w *Watchman) Guard(ctx context.Context) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	go func() {
		ticker := time.NewTicker(budgetTick)
		defer ticker.Stop()
		for {
			select {
			case <-guarded.Done():
				return
			case <-ticker.C:
			}
			if err := w.breach(); err != nil {
				cancel(err)
				return
			}
		}
	}()
	return guarded, func() { cancel(nil) }
}

// arm makes the losses count.
func (w *Watchman) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = true
}

// breach says that more is lost than the budget allows, once losses count.
func (w *Watchman) breach() error {
	w.mu.Lock()
	armed := w.armed
	w.mu.Unlock()
	if !armed {
		return nil
	}
	return w.judge(w.snapshot())
}

// Conclude sends requests for a moment longer and judges them all. The prober
// is left running when it says no, to see the revert through.
func (w *Watchman) Conclude(ctx context.Context) error {
	window := afterRollout
	if w.deferred != "" {
		window = firstWindow
		if err := w.start(ctx, reachTime); err != nil {
			return err
		}
		w.arm()
	}
	w.Mark("last requests")
	w.collect(ctx, 1<<30, window)
	if err := w.judge(w.snapshot()); err != nil {
		return err
	}
	final := w.Verdict()
	if final == nil {
		w.Log.Line("verdict none: no request could be sent in time, so that nothing is known of losses")
		return nil
	}
	if err := w.judge(*final); err != nil {
		return err
	}
	w.Log.Line("verdict %s", final)
	if final.Hint != "" {
		w.Log.Line("        %s", final.Hint)
	}
	return nil
}

// Verdict stops the prober and returns the final counts, nil when nothing was
// measured: it never ran, or no request went out. Further calls return the same.
func (w *Watchman) Verdict() *pipeline.Verdict {
	p := w.current()
	if p == nil {
		return nil
	}
	w.ending.Do(func() {
		v := p.stop()
		v.Hint = keepAliveHint(v)
		v.Partial = strings.Join(slices.DeleteFunc([]string{w.partial(), v.Partial, w.repeated(v), doubt(v)}, func(s string) bool { return s == "" }), "; ")
		w.final = &v
	})
	if w.final.Requests == 0 {
		return nil
	}
	return w.final
}

// Drop ends what this process has of the requests. Without a verdict the
// deployment has not ended either: whoever takes it up again finds a prober in
// a pod that has gone on. After Verdict it does nothing.
func (w *Watchman) Drop() {
	if p := w.current(); p != nil {
		w.ending.Do(func() {
			p.leave()
			w.final = &pipeline.Verdict{}
		})
	}
}

// URL is where the application answers, empty when that is not known.
func (w *Watchman) URL() string {
	if w.public != "" || w.Verify.URL == "" {
		return w.public
	}
	return strings.TrimSuffix(shownURL(w.Verify.URL), "?...")
}
