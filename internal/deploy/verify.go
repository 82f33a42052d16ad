package deploy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
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

	mu       sync.Mutex
	prober   *probe.Prober
	final    *pipeline.Verdict
	public   string
	armed    bool   // losses are the deployment's from now on
	deferred string // why no request was sent through the rollout
	resumed  bool   // what another process has counted before is lost
}

// chooseProbe finds what to send requests to, nil when nothing is to be sent.
func chooseProbe(objects []manifest.Object, verify pipeline.Verify) (*watchman, error) {
	if verify.Off {
		return nil, nil
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
	var found []manifest.Object
	for _, s := range manifest.Services(objects) {
		for _, d := range manifest.OfKind(objects, "apps", "Deployment") {
			if manifest.Selects(s.Unstructured, d.Unstructured) {
				found = append(found, s)
				break
			}
		}
	}
	return found
}

func (w *watchman) name() string {
	if w.verify.URL != "" {
		return withoutPassword(w.verify.URL)
	}
	return "Service " + w.service
}

// withoutPassword is a URL as it may be shown. One that cannot be read is not
// shown at all: nobody knows which part of it is the password.
func withoutPassword(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return "the URL of verify.url"
	}
	return parsed.Redacted()
}

func (w *watchman) rate() int { return cmp.Or(w.verify.Rate, probe.DefaultRate) }

// begin starts to send requests before anything is changed. When there is
// nobody yet to answer, or when requests are being lost already, it says so
// and leaves it to conclude to measure what is left to measure: losses that
// the deployment did not cause must not keep it from mending them.
func (w *watchman) begin(ctx context.Context, r *run) error {
	answered, err := w.answered(ctx, r)
	if err != nil || !answered {
		return err
	}
	if err := w.start(ctx, r, 0); err != nil {
		return err
	}
	v := w.collect(ctx, baselineRequests, baselineTime)
	if v.Lost == 0 && v.Requests > 0 {
		w.arm()
		r.log.Line("probe   %d requests to %s answered before the first change", v.Requests, v.Target)
		return nil
	}
	w.mu.Lock()
	w.prober.Stop()
	w.prober = nil
	w.mu.Unlock()
	if refusals := refusedByAPIServer(v); refusals != "" {
		return refusal.New("verify: no request reaches %s: %s. Let the account get services/proxy, or set verify.url, or verify.off to measure nothing", w.name(), refusals)
	}
	w.deferred = fmt.Sprintf("%d of %d requests were lost before the first change (%s)", v.Lost, v.Requests, causes(v))
	r.log.Line("probe   %s: they are not this deployment's, so its requests are counted only once the new pods serve", w.deferred)
	return nil
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

// causes names what was lost and why, or what was answered.
func causes(v pipeline.Verdict) string {
	var parts []string
	for cause, n := range v.Losses {
		parts = append(parts, fmt.Sprintf("%d %s", n, cause))
	}
	if len(parts) == 0 {
		return "no answer"
	}
	return strings.Join(parts, ", ")
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

// start finds the way to the Service and begins to send. A public way may take
// some patience.
func (w *watchman) start(ctx context.Context, r *run, patience time.Duration) error {
	config := probe.Config{URL: w.verify.URL, Rate: w.rate()}
	via := "by its URL"
	if w.verify.URL == "" {
		route, err := w.route(ctx, r, patience)
		if err != nil {
			return refusal.Or(err, "verify: %v", err)
		}
		via = "by the " + route.Via
		config.URL = route.URL + "/" + strings.TrimPrefix(w.verify.Path, "/")
		if route.Public {
			w.public = route.URL + "/"
		}
		if route.Authorize != nil {
			config.Transport = proxied(route)
		}
	}
	prober, err := probe.Start(context.WithoutCancel(ctx), config)
	if err != nil {
		return refusal.New("verify: %v", err)
	}
	w.mu.Lock()
	w.prober = prober
	w.mu.Unlock()
	r.log.Line("probe   GET %s, %s, %d requests/s, half of them on new connections", withoutPassword(config.URL), via, w.rate())
	return nil
}

// route waits a moment for the data plane: a Service that is new may not be
// known yet on the node that is asked.
func (w *watchman) route(ctx context.Context, r *run, patience time.Duration) (kube.Route, error) {
	deadline := time.Now().Add(patience)
	for {
		route, err := r.Cluster.ServiceURL(ctx, r.record.Namespace, w.service)
		if err != nil || route.Public || !route.Exposed || time.Now().After(deadline) {
			return route, err
		}
		select {
		case <-ctx.Done():
			return route, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
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
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prober == nil {
		return pipeline.Verdict{}
	}
	return w.prober.Snapshot()
}

// mark puts a moment of the deployment onto the timeline of the verdict.
func (w *watchman) mark(text string) {
	w.mu.Lock()
	prober := w.prober
	w.mu.Unlock()
	if prober != nil {
		prober.Mark(text)
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

func (w *watchman) judge(v pipeline.Verdict) error {
	if v.Lost <= w.verify.Budget {
		return nil
	}
	return refusal.New("%d of %d requests lost (%s), the budget is %d%s", v.Lost, v.Requests, causes(v), w.verify.Budget, keepAliveHint(v))
}

// keepAliveHint names the one cause of losses that no deployer can mend from
// outside.
func keepAliveHint(v pipeline.Verdict) string {
	if v.KeepAlive.Lost == 0 || v.Fresh.Lost > 0 || v.Losses["timeout"] > 0 {
		return ""
	}
	return ". Only connections that are kept open lost requests: the application cuts them when it ends. " +
		"After SIGTERM, let it answer with \"Connection: close\" for a second or two before it shuts down gracefully"
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
	w.collect(ctx, 1<<30, window)
	v := w.snapshot()
	if err := w.judge(v); err != nil {
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
	return nil
}

// verdict stops the prober and returns the final counts, nil when nothing was
// measured: it never ran, or no request went out. Further calls return the same.
func (w *watchman) verdict() *pipeline.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.final == nil && w.prober != nil {
		v := w.prober.Stop()
		v.Partial = strings.Join(slices.DeleteFunc([]string{w.partial(), doubt(v)}, func(s string) bool { return s == "" }), "; ")
		w.final = &v
	}
	if w.final != nil && w.final.Requests == 0 {
		return nil
	}
	return w.final
}

// partial says what of the deployment the counts leave out.
func (w *watchman) partial() string {
	switch {
	case w.deferred != "":
		return "counted after the rollout only: " + w.deferred
	case w.resumed:
		return "counted from where another process took over"
	}
	return ""
}

// doubt says that the counts mean little because the application refused all
// requests: a path that it does not have is answered however broken it is.
func doubt(v pipeline.Verdict) string {
	for status := range v.Responses {
		if status < "4" {
			return ""
		}
	}
	if len(v.Responses) == 0 || v.Lost > 0 {
		return ""
	}
	return fmt.Sprintf("but every answer was a refusal, %s: set verify.path to a page that the application has",
		strings.Join(slices.Sorted(maps.Keys(v.Responses)), ", "))
}

// drop ends the requests without asking for the verdict.
func (w *watchman) drop() { w.verdict() }

// url is where the application answers, empty when that is not known.
func (w *watchman) url() string {
	if w.public != "" || w.verify.URL == "" {
		return w.public
	}
	return withoutPassword(w.verify.URL)
}
