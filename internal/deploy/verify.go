package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
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

// watchman sends requests through a deployment and judges what is lost.
type watchman struct {
	service string // name, empty when a URL is given
	foreign bool   // the Service is not one of the manifests
	verify  pipeline.Verify

	ending   sync.Once
	mu       sync.Mutex
	prober   prober
	final    *pipeline.Verdict
	public   string
	armed    bool   // losses are the deployment's from now on
	deferred string // why no request was sent through the rollout
	pardon   pardon // the losses that the budget leaves aside
	spent    int    // of the budget, by a prober that was lost
	earlier  string // what it had counted
	alone    bool   // a prober that was lost has no successor
	resumed  bool   // what another process has counted before is lost
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

// chooseProbe finds what to send requests to, nil when nothing is to be sent.
func chooseProbe(objects []manifest.Object, verify pipeline.Verify) (*watchman, error) {
	if verify.Off {
		return nil, nil
	}
	if err := checkVerify(verify); err != nil {
		return nil, err
	}
	if verify.URL != "" {
		return &watchman{verify: verify}, nil
	}
	if verify.Service != "" {
		listed := slices.ContainsFunc(manifest.Services(objects), func(o manifest.Object) bool { return o.GetName() == verify.Service })
		return &watchman{service: verify.Service, foreign: !listed, verify: verify}, nil
	}
	var names, exposed []string
	for _, s := range serving(objects) {
		names = append(names, s.GetName())
		if kind, _ := s.Object["spec"].(map[string]any)["type"].(string); kind == "NodePort" || kind == "LoadBalancer" {
			exposed = append(exposed, s.GetName())
		}
	}
	switch {
	case len(names) == 0:
		return nil, nil
	case len(names) == 1:
		return &watchman{service: names[0], verify: verify}, nil
	case len(exposed) == 1:
		return &watchman{service: exposed[0], verify: verify}, nil
	}
	return nil, refusal.New("the application has several Services (%s) and it is not said which one to measure: "+
		"set verify.service in the deploy action, or verify.off to measure nothing", strings.Join(names, ", "))
}

// serving are the Services that send requests to a Deployment's pods.
func serving(objects []manifest.Object) []manifest.Object {
	return manifest.Selecting(manifest.Services(objects), manifest.OfKind(objects, "apps", "Deployment"))
}

func (w *watchman) name() string {
	if w.verify.URL != "" {
		return shownURL(w.verify.URL)
	}
	return "Service " + w.service
}

func (w *watchman) rate() int { return cmp.Or(w.verify.Rate, probe.DefaultRate) }

// begin starts to send requests before anything is changed. When there is
// nobody yet to answer, or when requests are being lost already, it says so
// and leaves it to conclude to measure what is left to measure: losses that
// the deployment did not cause must not keep it from mending them.
func (w *watchman) begin(ctx context.Context, r *run) error {
	if w.takeUp(ctx, r) {
		return nil
	}
	if w.resumed {
		r.log.Line("probe   what another process has counted before is lost: requests are counted from here on")
	}
	answered, err := w.answered(ctx, r)
	if err != nil || !answered {
		return err
	}
	if err := w.start(ctx, r, 0); err != nil {
		return err
	}
	v := w.collect(ctx, baselineRequests, baselineTime)
	if v.Lost == 0 && v.Requests > 0 {
		w.mark(countedFromHere)
		w.arm()
		r.log.Line("probe   %d requests to %s answered before the first change", v.Requests, v.Target)
		return nil
	}
	v = w.swap(nil).stop()
	if refusals := refusedByAPIServer(v); refusals != "" {
		return refusal.New("verify: no request reaches %s: %s. Let the account get services/proxy, or set verify.url, or verify.off to measure nothing", w.name(), refusals)
	}
	w.deferred = fmt.Sprintf("%d of %d requests were lost before the first change (%s)", v.Lost, v.Requests, causes(v))
	r.log.Line("probe   %s: they are not this deployment's, so its requests are counted only once the new pods serve", w.deferred)
	return nil
}

// countedFromHere marks the moment from which losses are the deployment's.
const countedFromHere = "first change"

// takeUp goes on with the prober that another process has left behind in a
// pod, so that what was counted before is not lost. What others have left
// behind is removed.
func (w *watchman) takeUp(ctx context.Context, r *run) bool {
	left := leftBehind(ctx, r)
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
	w.resumed = false
	w.arm()
	r.log.Line("probe   %s has gone on meanwhile: %s", first.Via, first)
	return true
}

// swap replaces the prober and returns the one before.
func (w *watchman) swap(p prober) prober {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.prober
	w.prober = p
	return before
}

// current is the prober, nil while no requests are sent.
func (w *watchman) current() prober {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prober
}

// answered tells whether somebody can be there to answer requests. When the
// Service has no ready endpoint yet, the measuring is put off.
func (w *watchman) answered(ctx context.Context, r *run) (bool, error) {
	if w.verify.URL != "" {
		return true, nil
	}
	ready, err := w.readyEndpoints(ctx, r)
	if err != nil || ready > 0 {
		return ready > 0, err
	}
	if w.foreign {
		if err := w.mustExist(ctx, r); err != nil {
			return false, err
		}
	}
	w.deferred = fmt.Sprintf("%s had no ready endpoint before", w.name())
	r.log.Line("probe   %s has no ready endpoint yet: requests are sent once the new pods serve", w.name())
	return false, nil
}

// mustExist refuses a Service that nobody makes, before anything is changed.
func (w *watchman) mustExist(ctx context.Context, r *run) error {
	_, err := r.Cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: r.record.Namespace, Name: w.service})
	if kube.IsNotFound(err) {
		return refusal.New("verify.service: there is no Service %s, neither in the manifests nor in namespace %s", w.service, r.record.Namespace)
	}
	return err
}

func (w *watchman) readyEndpoints(ctx context.Context, r *run) (int, error) {
	slices, err := r.Cluster.EndpointSlices(ctx, r.record.Namespace, w.service)
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
func (w *watchman) collect(ctx context.Context, requests int, atMost time.Duration) pipeline.Verdict {
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

func (w *watchman) snapshot() pipeline.Verdict {
	if p := w.current(); p != nil {
		return p.Snapshot()
	}
	return pipeline.Verdict{}
}

// mark puts a moment of the deployment onto the timeline of the verdict.
func (w *watchman) mark(text string) {
	if p := w.current(); p != nil {
		p.Mark(text)
	}
}

// guard returns a context that ends as soon as more requests are lost than the
// budget allows.
func (w *watchman) guard(ctx context.Context) (guarded context.Context, stop func()) {
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
func (w *watchman) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = true
}

// breach says that more is lost than the budget allows, once losses count.
func (w *watchman) breach() error {
	w.mu.Lock()
	armed := w.armed
	w.mu.Unlock()
	if !armed {
		return nil
	}
	return w.judge(w.snapshot())
}

// conclude sends requests for a moment longer and judges them all. The prober
// is left running when it says no, to see the revert through.
func (w *watchman) conclude(ctx context.Context, r *run) error {
	window := afterRollout
	if w.deferred != "" {
		window = firstWindow
		if err := w.start(ctx, r, reachTime); err != nil {
			return err
		}
		w.arm()
	}
	w.mark("last requests")
	w.collect(ctx, 1<<30, window)
	if err := w.judge(w.snapshot()); err != nil {
		return err
	}
	final := w.verdict()
	if final == nil {
		r.log.Line("verdict none: no request could be sent in time, so that nothing is known of losses")
		return nil
	}
	if err := w.judge(*final); err != nil {
		return err
	}
	r.log.Line("verdict %s", final)
	if final.Hint != "" {
		r.log.Line("        %s", final.Hint)
	}
	return nil
}

// verdict stops the prober and returns the final counts, nil when nothing was
// measured: it never ran, or no request went out. Further calls return the same.
func (w *watchman) verdict() *pipeline.Verdict {
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

// drop ends what this process has of the requests. Without a verdict the
// deployment has not ended either: whoever takes it up again finds a prober in
// a pod that has gone on.
func (w *watchman) drop() {
	if p := w.current(); p != nil {
		w.ending.Do(func() {
			p.leave()
			w.final = &pipeline.Verdict{}
		})
	}
}

// url is where the application answers, empty when that is not known.
func (w *watchman) url() string {
	if w.public != "" || w.verify.URL == "" {
		return w.public
	}
	return strings.TrimSuffix(shownURL(w.verify.URL), "?...")
}
