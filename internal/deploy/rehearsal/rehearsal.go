// Package rehearsal finds out, before a release, what becomes of clients when
// a pod of the application ends. Its noun is the rehearsal: one spare pod of
// the new set, which no Service selects, is started, given clients of its own,
// and deleted, and its clients tell what happened to them.
//
// It stands before the cut-over: deploy runs it and judges by its policy
// (Decide). It knows a cluster and one pod template; strategies, revisions and
// Services' traffic are not its business.
//
// The clients are as hard as real ones can be. The busy ones send one request
// after another, so that at any moment each has one on its way; the idle ones
// have had an answer and keep their connection. An application that closes its
// connections without having told its clients to go elsewhere ("Connection:
// close") cuts some of the former for certain, though in a release it would
// happen to few. Nothing is sent twice.
//
// What is measured is the application alone: a preStop that only sleeps is
// taken out of the spare pod and told apart in the result.
package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// Label marks spare pods; its value is the application.
const Label = "towline.dev/rehearsal"

// The times that a rehearsal takes at most, beside the pod's grace period.
const (
	// readyTime is how long the spare pod may take to become ready.
	readyTime = 5 * time.Minute
	// wayTime is how long the way to the spare pod may take to open.
	wayTime = 30 * time.Second
	// warmTime is how long the clients send before the pod is deleted.
	warmTime = 300 * time.Millisecond
	// goneTime is how long the cluster may take to notice an end.
	goneTime = 30 * time.Second
	// cleanTime is how long the removal of a spare pod may take to be asked
	// for.
	cleanTime = 15 * time.Second
)

// Config says what to rehearse. Cluster, Namespace, App, Template and Port are
// required.
type Config struct {
	Cluster   *kube.Cluster
	Namespace string
	App       string
	// Template is the pod template of the new set, as manifest.Template gives
	// it. It is not changed.
	Template map[string]any
	// Hash is kept in the result, so that the caller knows for which template
	// it holds.
	Hash string
	// Port is what Services send requests to, as PortOf gives it.
	Port Port
	// Path is the path of the requests, default /. Host is their Host, default
	// App.
	Path, Host string
	// Detach is how long a pod must go on serving after it has left the
	// Service; a shorter preStop is advised about. Zero asks nothing.
	Detach time.Duration
	// Wait waits until the spare pod is ready. What keeps it from ever being so
	// is why, for people; an error means that the cluster could not be asked.
	// Default: a wait that knows nothing of images and crashes.
	Wait func(ctx context.Context, pod string) (why string, err error)
	// Dial opens a connection to the spare pod. Default: through the API
	// server. Inside the cluster the pod's address is nearer.
	Dial func(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error)
	// Report hears in a few words what is being done. Default: nobody.
	Report func(text string)
}

// Run rehearses the end of a pod. What stands in the way of a measurement and
// lies with the application, the cluster's rules or the way to the pod (a pod
// that does not become ready, a quota, a port that does not speak HTTP, no right
// to forward ports) is in Drain.Unmeasured; an error means that the cluster
// could not be asked for the pod, or that ctx has ended. The spare pod is removed in
// any case; see Sweep for what a killed process leaves.
func Run(ctx context.Context, config Config) (pipeline.Drain, error) {
	r := &rehearsal{Config: config, began: time.Now()}
	r.Host = cmp.Or(r.Host, r.App)
	if r.Report == nil {
		r.Report = func(string) {}
	}
	drain, err := r.run(ctx)
	var not *unmeasured
	switch {
	case errors.As(err, &not):
		drain = pipeline.Drain{Unmeasured: not.why, Sentence: fmt.Sprintf("how %s ends is not known: %s", r.App, not.why)}
	case err != nil:
		return pipeline.Drain{}, fmt.Errorf("rehearse the end of %s: %w", r.App, err)
	}
	drain.Template, drain.Rehearsed = r.Hash, r.began.UTC()
	return drain, nil
}

// unmeasured is why a rehearsal says nothing.
type unmeasured struct{ why string }

func (u *unmeasured) Error() string { return u.why }

// rehearsal is one Run.
type rehearsal struct {
	Config
	began time.Time
	spare spare
	dial  func(ctx context.Context) (net.Conn, error)
}

func (r *rehearsal) run(ctx context.Context) (pipeline.Drain, error) {
	target, err := url.Parse(cmp.Or(r.Path, "/"))
	if err != nil || strings.ContainsAny(r.Host, " \r\n") {
		return pipeline.Drain{}, &unmeasured{fmt.Sprintf("%q of host %q is no path of a request", r.Path, r.Host)}
	}
	r.Path = target.RequestURI()
	if err := Sweep(ctx, r.Cluster, r.Namespace, r.App); err != nil {
		return pipeline.Drain{}, err
	}
	var template corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(r.Template, &template); err != nil {
		return pipeline.Drain{}, &unmeasured{"its pod template cannot be read: " + err.Error()}
	}
	selectors, err := r.selectors(ctx)
	if err != nil {
		return pipeline.Drain{}, err
	}
	r.spare = newSpare(spareRequest{Template: template, App: r.App, Namespace: r.Namespace, Port: r.Port.Number, Selectors: selectors})
	r.Report("start the spare pod " + r.spare.pod.Name + ", which no Service selects")
	pod, err := r.create(ctx)
	if err != nil {
		return pipeline.Drain{}, err
	}
	defer r.remove(ctx, pod)
	if err := r.ready(ctx); err != nil {
		return pipeline.Drain{}, err
	}
	o, err := r.measure(ctx, pod)
	if err != nil {
		return pipeline.Drain{}, err
	}
	return Judge(o), nil
}

// measure opens the way to the pod and observes its end. What goes wrong there,
// such as a proxy that lets no connection through or a node that dies, says
// nothing of the application and is no reason to give a deployment up: unless
// ctx has ended, every error is an *unmeasured.
func (r *rehearsal) measure(ctx context.Context, pod *corev1.Pod) (o Observation, err error) {
	closeWay, err := r.way(ctx, pod)
	if err == nil {
		defer closeWay()
		o, err = r.observe(ctx, pod)
	}
	if _, known := errors.AsType[*unmeasured](err); err == nil || known || ctx.Err() != nil {
		return o, err
	}
	return Observation{}, &unmeasured{err.Error()}
}

// create makes the spare pod. What the cluster's rules refuse says nothing of
// the application.
func (r *rehearsal) create(ctx context.Context) (*corev1.Pod, error) {
	object, err := r.spare.object()
	if err != nil {
		return nil, err
	}
	applied, err := r.Cluster.Apply(ctx, object, kube.ApplyOptions{Force: true})
	if err != nil && kube.Refused(err) {
		return nil, &unmeasured{"the cluster refuses a spare pod: " + err.Error()}
	}
	if err != nil {
		return nil, err
	}
	var pod corev1.Pod
	return &pod, runtime.DefaultUnstructuredConverter.FromUnstructured(applied.Object, &pod)
}

func (r *rehearsal) ready(ctx context.Context) error {
	wait := r.Wait
	if wait == nil {
		wait = r.untilReady
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	why, err := wait(ctx, r.spare.pod.Name)
	if why == "" && errors.Is(err, context.DeadlineExceeded) {
		why, err = fmt.Sprintf("the spare pod is not ready after %s", readyTime), nil
	}
	if err != nil {
		return fmt.Errorf("wait for the spare pod: %w", err)
	}
	if why != "" {
		return &unmeasured{why}
	}
	return nil
}

// untilReady is the default of Config.Wait.
func (r *rehearsal) untilReady(ctx context.Context, name string) (why string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := false
	err = r.Cluster.WatchPod(ctx, r.Namespace, name, func(pod *corev1.Pod, gone bool) {
		ready = ready || rollout.IsReady(pod) && !gone
		switch {
		case gone || pod.DeletionTimestamp != nil:
			why = "somebody removed the spare pod"
		case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
			why = "the spare pod ended before it was ready"
		}
		if ready || why != "" {
			cancel()
		}
	})
	if ready || why != "" {
		return why, nil
	}
	return "", err
}

// way opens the way that all connections to the pod take.
func (r *rehearsal) way(ctx context.Context, pod *corev1.Pod) (closeWay func(), err error) {
	if r.Dial != nil {
		r.dial = func(ctx context.Context) (net.Conn, error) { return r.Dial(ctx, pod, r.Port.Number) }
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wayTime, fmt.Errorf("nothing answers within %s", wayTime))
	defer cancel()
	forward, err := r.Cluster.Forward(ctx, r.Namespace, pod.Name)
	if err != nil {
		return nil, err
	}
	r.dial = func(context.Context) (net.Conn, error) { return forward.Dial(r.Port.Number) }
	return func() { _ = forward.Close() }, nil
}

// remove asks for the removal of the pod, also when ctx has ended.
func (r *rehearsal) remove(ctx context.Context, pod *corev1.Pod) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	if err := r.Cluster.Delete(ctx, r.ref(), pod.UID); err != nil {
		r.Report("the spare pod stays for the next rehearsal to remove: " + err.Error())
	}
}

func (r *rehearsal) ref() kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: r.Namespace, Name: r.spare.pod.Name}
}
