package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
)

// lookAgain is how often a wait looks at what is there though nothing has
// changed: troubles become final by lasting.
const lookAgain = time.Second

// doubtTime is how long pods without a readiness probe must keep running
// before they count as ready: enough to see one that crashes at its start.
const doubtTime = 3 * time.Second

// Waiter waits for workloads.
type Waiter struct {
	Cluster *kube.Cluster
	Log     *runbook.Runbook
	// Unschedulable is how long a new pod may find no node.
	Unschedulable time.Duration
	// Reverting says that what is waited for replaces a revision that failed:
	// its pods are not waited for.
	Reverting bool
}

// Wait returns when an object, and what it brings about, is as planned. A
// refusal says why it will not be; it has the failing pod's events and log.
func (w *Waiter) Wait(ctx context.Context, ref kube.Ref, generation int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	look, err := w.lookout(ctx, ref, generation, notify)
	if err != nil {
		return err
	}
	patience, since := kube.Patience{}, time.Time{}
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		s, err := look()
		if err != nil {
			return err
		}
		if s.Line != "" {
			w.Log.Report(ref.Name, s.Line)
		}
		if since = doneSince(since, s, time.Now()); s.Done && (!s.Doubtful || time.Since(since) >= doubtTime) {
			return w.afterwards(ctx, ref)
		}
		if err := w.unstick(ctx, s.Stuck); err != nil {
			return err
		}
		if t, over := patience.Over(s.Troubles, time.Now()); over {
			return refusal.New("%s: %s%s", ref, t, w.diagnose(ctx, t.Pod, t.Container, t.Previous))
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return w.interrupted(ctx, ref, s)
		}
	}
}

// doneSince is since when a standing has been done, the zero time when it is
// not.
func doneSince(since time.Time, s standing, now time.Time) time.Time {
	switch {
	case !s.Done:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// afterwards waits for what is not in the object itself: the API server serves
// a new kind a moment after its definition says that it is established.
func (w *Waiter) afterwards(ctx context.Context, ref kube.Ref) error {
	if ref.Kind != "CustomResourceDefinition" {
		return nil
	}
	definition, err := w.Cluster.Get(ctx, ref)
	if err != nil {
		return err
	}
	for _, gvk := range definedKinds(definition) {
		if err := w.served(ctx, ref, gvk); err != nil {
			return err
		}
	}
	return nil
}

// served returns when the API server serves the kind that a definition brings.
func (w *Waiter) served(ctx context.Context, definition kube.Ref, gvk schema.GroupVersionKind) error {
	for {
		_, err := w.Cluster.Resource(gvk)
		if err == nil {
			return nil
		}
		if _, unknown := errors.AsType[*kube.UnknownKindError](err); !unknown {
			return err
		}
		select {
		case <-ctx.Done():
			return w.interrupted(ctx, definition, standing{Missing: "the API server does not serve its kind"})
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// definedKinds are the kinds that a CustomResourceDefinition brings.
func definedKinds(o *unstructured.Unstructured) []schema.GroupVersionKind {
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	var kinds []schema.GroupVersionKind
	for _, v := range versions {
		fields, _ := v.(map[string]any)
		name, _ := fields["name"].(string)
		if served, _ := fields["served"].(bool); served {
			kinds = append(kinds, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
		}
	}
	return kinds
}

// interrupted says what a wait was still waiting for. When its time is over
// the pod that is not ready speaks for itself.
func (w *Waiter) interrupted(ctx context.Context, ref kube.Ref, s standing) error {
	cause := context.Cause(ctx)
	if !refusal.Is(cause) {
		return fmt.Errorf("wait for %s: %w", ref, cause)
	}
	text := ""
	if refusal.IsDeadline(cause) {
		text = w.diagnose(ctx, s.Unready, "", false)
	}
	return refusal.New("%s: %s%s", ref, s.Missing, text)
}

// lookout returns a function that judges the present state of an object.
func (w *Waiter) lookout(ctx context.Context, ref kube.Ref, generation int64, notify func()) (func() (standing, error), error) {
	if ref.GVK().GroupKind().String() == "Deployment.apps" {
		return w.lookoutRollout(ctx, ref, generation, notify)
	}
	return w.lookoutHealth(ctx, ref, generation, notify)
}

func (w *Waiter) lookoutRollout(ctx context.Context, ref kube.Ref, generation int64, notify func()) (func() (standing, error), error) {
	live, err := w.Cluster.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &d); err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", ref, err)
	}
	services, err := w.servicesOf(ctx, ref.Namespace, d.Spec.Template.Labels)
	if err != nil {
		return nil, err
	}
	scope := kube.Scope{Namespace: ref.Namespace, Selector: selector.String(), Changed: notify}
	deployments := w.Cluster.FollowDeployments(ctx, kube.Scope{Namespace: ref.Namespace, Name: ref.Name, Changed: notify})
	sets, pods := w.Cluster.FollowReplicaSets(ctx, scope), w.Cluster.FollowPods(ctx, scope)
	slices := map[string]*kube.Follower[*discoveryv1.EndpointSlice]{}
	for _, name := range services {
		slices[name] = w.Cluster.FollowEndpointSlices(ctx, ref.Namespace, name, notify)
	}
	followed := []interface {
		Err() error
		Synced() bool
	}{deployments, sets, pods}
	for _, s := range slices {
		followed = append(followed, s)
	}
	return func() (standing, error) {
		for _, f := range followed {
			if err := f.Err(); err != nil {
				return standing{}, err
			}
		}
		for _, f := range followed {
			if !f.Synced() { // No old pods in a list that is not there yet does not mean that there are none.
				return standing{Missing: "the API server has not listed its pods"}, nil
			}
		}
		v := rolloutView{ReplicaSets: sets.Items(), Pods: pods.Items(), Generation: generation, Unschedulable: w.Unschedulable}
		if items := deployments.Items(); len(items) == 1 {
			v.Deployment = items[0]
		}
		for _, name := range services {
			v.Services = append(v.Services, serviceView{Name: name, Endpoints: kube.Endpoints(slices[name].Items())})
		}
		return judgeRollout(v), nil
	}, nil
}

// servicesOf are the names of the Services that select pods of these labels.
func (w *Waiter) servicesOf(ctx context.Context, namespace string, pod map[string]string) ([]string, error) {
	all, err := w.Cluster.Services(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range all {
		if len(s.Spec.Selector) > 0 && s.Spec.Type != corev1.ServiceTypeExternalName && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod)) {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

func (w *Waiter) lookoutHealth(ctx context.Context, ref kube.Ref, generation int64, notify func()) (func() (standing, error), error) {
	object, err := w.Cluster.Follow(ctx, ref, notify)
	if err != nil {
		return nil, err
	}
	var pods *kube.Follower[*corev1.Pod]
	return func() (standing, error) {
		if err := object.Err(); err != nil {
			return standing{}, err
		}
		items := object.Items()
		if len(items) == 0 || items[0].GetGeneration() < generation {
			return standing{Line: "waiting for its controller", Missing: "its controller has not seen the change"}, nil
		}
		if pods == nil {
			if selector := podSelector(items[0]); selector != "" {
				pods = w.Cluster.FollowPods(ctx, kube.Scope{Namespace: ref.Namespace, Selector: selector, Changed: notify})
			}
		}
		var own, stuck []*corev1.Pod
		if pods != nil {
			if err := pods.Err(); err != nil {
				return standing{}, err
			}
			if !pods.Synced() { // That none crashes means nothing before they are known.
				return standing{Missing: "the API server has not listed its pods"}, nil
			}
			own = currentPods(items[0], pods.Items())
			stuck = stuckPods(items[0], pods.Items(), w.Reverting)
		}
		s := judgeHealth(items[0], own, w.Unschedulable)
		s.Stuck = stuck
		return s, nil
	}, nil
}

// judgeHealth is the standing of an object that is not a Deployment.
func judgeHealth(o *unstructured.Unstructured, pods []*corev1.Pod, unschedulable time.Duration) standing {
	health := kube.HealthOf(o)
	s := standing{Done: health.Status == kube.Current, Line: health.Message, Missing: health.Message, Unready: unready(pods)}
	if health.Status == kube.Failed {
		failed := kube.Trouble{Reason: health.Message, Pod: s.Unready}
		return standing{Line: health.Message, Missing: health.Message, Troubles: []kube.Trouble{failed}}
	}
	template, found, err := unstructured.NestedMap(o.Object, "spec", "template")
	if o.GetKind() != "Job" && found && err == nil {
		var pod corev1.PodTemplateSpec
		if runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod) == nil {
			s.Doubtful = len(pods) > 0 && !probed(pod.Spec)
		}
	}
	if o.GetKind() != "Job" { // A Job counts its crashes itself.
		s.Troubles = kube.PodTroubles(pods, unschedulable)
	}
	return s
}

// podSelector is the selector of a workload's pods, empty when it has none.
func podSelector(o *unstructured.Unstructured) string {
	fields, found, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if err != nil || !found {
		return ""
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector); err != nil {
		return ""
	}
	parsed, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil || parsed.Empty() {
		return ""
	}
	return parsed.String()
}

// currentPods are the workload's own pods, and of a StatefulSet only those of
// the revision that it is going to: an old pod that crashes must not keep its
// mend from being deployed.
func currentPods(o *unstructured.Unstructured, pods []*corev1.Pod) []*corev1.Pod {
	revision, _, err := unstructured.NestedString(o.Object, "status", "updateRevision")
	var own []*corev1.Pod
	for _, pod := range pods {
		owner := metav1.GetControllerOf(pod)
		if owner == nil || owner.UID != o.GetUID() || pod.DeletionTimestamp != nil {
			continue
		}
		if err == nil && revision != "" && pod.Labels[appsv1.ControllerRevisionHashLabelKey] != revision {
			continue
		}
		own = append(own, pod)
	}
	return own
}
