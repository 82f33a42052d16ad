package invariant

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
)

// The timing of the watches.
const (
	lookAgain = 250 * time.Millisecond // though nothing has changed
	lookRest  = 50 * time.Millisecond  // between two looks, whatever changes
	syncTime  = 30 * time.Second       // until all watches know how things stand
)

// watched is a watch that knows whether it has heard anything yet.
type watched[T any] struct {
	follower *kube.Follower[T]
	heard    *atomic.Bool
}

func (w watched[T]) synced() bool { return w.heard.Load() }

func (w watched[T]) err() error { return w.follower.Err() }

// watches are all that a Watch follows. Only the pods' may become more.
type watches struct {
	ctx       context.Context //nolint:containedctx // it is the life of the watches
	config    Config
	notify    func()
	services  map[string]watched[*unstructured.Unstructured]
	slices    map[string]watched[*discoveryv1.EndpointSlice]
	workloads map[string]watched[*unstructured.Unstructured] // by kube.Ref.ID
	pods      map[string]watched[*corev1.Pod]                // by selector
}

func newWatches(ctx context.Context, config Config, notify func()) (*watches, error) {
	w := &watches{
		ctx: ctx, config: config, notify: notify,
		services: map[string]watched[*unstructured.Unstructured]{}, slices: map[string]watched[*discoveryv1.EndpointSlice]{},
		workloads: map[string]watched[*unstructured.Unstructured]{}, pods: map[string]watched[*corev1.Pod]{},
	}
	for _, s := range config.Services {
		ref := kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: config.Namespace, Name: s.Name}
		object, err := w.object(ref)
		if err != nil {
			return nil, err
		}
		w.services[s.Name] = object
		heard, changed := w.hearing()
		w.slices[s.Name] = watched[*discoveryv1.EndpointSlice]{config.Cluster.FollowEndpointSlices(ctx, config.Namespace, s.Name, changed), heard}
	}
	for _, workload := range config.Workloads {
		object, err := w.object(workload.Ref)
		if err != nil {
			return nil, err
		}
		w.workloads[workload.Ref.ID()] = object
	}
	return w, nil
}

// hearing is a sign that a watch has heard something, and what gives it.
func (w *watches) hearing() (heard *atomic.Bool, changed func()) {
	heard = &atomic.Bool{}
	return heard, func() {
		heard.Store(true)
		w.notify()
	}
}

func (w *watches) object(ref kube.Ref) (watched[*unstructured.Unstructured], error) {
	heard, changed := w.hearing()
	follower, err := w.config.Cluster.Follow(w.ctx, ref, changed)
	return watched[*unstructured.Unstructured]{follower, heard}, err
}

// basis is a selector without what tells sets apart: the pods of all sets that
// a Service may ever select.
func basis(selector map[string]string) map[string]string {
	wide := maps.Clone(selector)
	delete(wide, plan.SetLabel)
	delete(wide, plan.TemplateHash)
	if len(wide) == 0 {
		return selector
	}
	return wide
}

// followPods follows the pods of a selector, unless they are followed already.
func (w *watches) followPods(selector map[string]string) {
	text := labels.SelectorFromSet(selector).String()
	if _, known := w.pods[text]; known || text == "" {
		return
	}
	heard, changed := w.hearing()
	scope := kube.Scope{Namespace: w.config.Namespace, Selector: text, Changed: changed}
	w.pods[text] = watched[*corev1.Pod]{w.config.Cluster.FollowPods(w.ctx, scope), heard}
}

// wait returns when all watches know how things stand. The pods are followed
// once the selectors are known.
func (w *watches) wait(ctx context.Context, changed <-chan struct{}) error {
	limit := time.NewTimer(syncTime)
	defer limit.Stop()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		known, err := w.synced()
		if err != nil || known {
			return err
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return errors.New("the API server has not said how things stand within " + syncTime.String())
		}
	}
}

// synced tells whether all watches have heard how things stand, or the error
// of one that never will.
func (w *watches) synced() (bool, error) {
	for _, service := range w.services {
		if service.synced() {
			w.followSelected(service)
		}
	}
	all := true
	for _, watch := range w.all() {
		if err := watch.err(); err != nil {
			return false, err
		}
		all = all && watch.synced()
	}
	return all, nil
}

func (w *watches) followSelected(service watched[*unstructured.Unstructured]) {
	for _, object := range service.follower.Items() {
		if selector := plan.SelectorOf(object); len(selector) > 0 {
			w.followPods(basis(selector))
		}
	}
}

// hearer is a watch of any kind.
type hearer interface {
	synced() bool
	err() error
}

func (w *watches) all() []hearer {
	var all []hearer
	for _, watch := range w.services {
		all = append(all, watch)
	}
	for _, watch := range w.slices {
		all = append(all, watch)
	}
	for _, watch := range w.workloads {
		all = append(all, watch)
	}
	for _, watch := range w.pods {
		all = append(all, watch)
	}
	return all
}

// hold is what the watches hold now.
func (w *watches) hold(now time.Time) (holding, error) {
	if _, err := w.synced(); err != nil { // It also follows the pods of a Service that has come since.
		return holding{}, err
	}
	h := holding{now: now, services: map[string]*unstructured.Unstructured{}, endpoints: map[string][]kube.Endpoint{}, workloads: map[string]*unstructured.Unstructured{}}
	for name, service := range w.services {
		h.services[name] = first(service.follower.Items())
	}
	for name, slices := range w.slices {
		h.endpoints[name] = kube.Endpoints(slices.follower.Items())
	}
	for id, workload := range w.workloads {
		h.workloads[id] = first(workload.follower.Items())
	}
	seen := map[string]bool{}
	for _, pods := range w.pods {
		for _, pod := range pods.follower.Items() {
			if uid := string(pod.UID); !seen[uid] {
				seen[uid] = true
				h.pods = append(h.pods, pod)
			}
		}
	}
	return h, nil
}

func first(items []*unstructured.Unstructured) *unstructured.Unstructured {
	if len(items) == 0 {
		return nil
	}
	return items[0]
}
