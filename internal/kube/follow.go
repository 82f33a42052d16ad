package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Scope says which objects to follow.
type Scope struct {
	Namespace string
	Selector  string // by labels; empty means all
	Name      string // of one object; empty means any
	// Changed is called after every change, from the follower's goroutine. It
	// must return at once.
	Changed func()
}

// Follower keeps a copy of the objects of a Scope as a watch brings them. A
// dropped watch, an expired one and a restart of the API server are mended
// inside; what cannot mend itself (a missing permission) is in Err.
type Follower[T any] struct {
	store   cache.Store
	changed func()

	mu     sync.Mutex
	err    error
	synced bool
}

// Synced tells whether the objects were listed once: before that, no items
// means nothing.
func (f *Follower[T]) Synced() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.synced
}

// Items are the objects as last seen, in no order. They are shared: do not
// change them.
func (f *Follower[T]) Items() []T {
	list := f.store.List()
	items := make([]T, 0, len(list))
	for _, item := range list {
		if typed, ok := item.(T); ok {
			items = append(items, typed)
		}
	}
	return items
}

// Err is why the objects cannot be followed and will not be by itself, such
// as a missing permission. It is nil while the cluster is only away.
func (f *Follower[T]) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || !permanent(f.err) {
		return nil
	}
	return fmt.Errorf("follow objects of the cluster: %w", f.err)
}

func permanent(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err)
}

// note remembers how the last request ended. A canceled one says nothing.
func (f *Follower[T]) note(err error) error {
	if !errors.Is(err, context.Canceled) {
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
	}
	return err
}

func (f *Follower[T]) touch(err error) error {
	f.changed()
	return err
}

// Add is a method of cache.ReflectorStore, as the following are: the store's
// own, with a sign after it.
func (f *Follower[T]) Add(obj any) error { return f.touch(f.store.Add(obj)) }

// Update replaces an object.
func (f *Follower[T]) Update(obj any) error { return f.touch(f.store.Update(obj)) }

// Delete removes an object.
func (f *Follower[T]) Delete(obj any) error { return f.touch(f.store.Delete(obj)) }

// Resync does what the store does.
func (f *Follower[T]) Resync() error { return f.store.Resync() }

// Replace takes a new list for the whole.
func (f *Follower[T]) Replace(items []any, version string) error {
	err := f.store.Replace(items, version)
	f.mu.Lock()
	f.synced = true
	f.mu.Unlock()
	return f.touch(err)
}

// lister is the part of a typed client that following needs.
type lister[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// follow starts a reflector, which ends with ctx.
func follow[T any, L runtime.Object](ctx context.Context, client lister[L], scope Scope) *Follower[T] {
	f := &Follower[T]{store: cache.NewStore(cache.MetaNamespaceKeyFunc), changed: scope.Changed}
	if f.changed == nil {
		f.changed = func() {}
	}
	narrow := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector = scope.Selector
		if scope.Name != "" {
			options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, scope.Name).String()
		}
		return options
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := client.List(ctx, narrow(options))
			return list, f.note(err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := client.Watch(ctx, narrow(options))
			return events, f.note(err)
		},
	}
	// Without an expected type the reflector takes any object, which is right:
	// the client's own type says what comes.
	reflector := cache.NewReflectorWithOptions(source, nil, f, cache.ReflectorOptions{
		Name:    "towline",
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5, Cap: 3 * time.Second},
	})
	// The reflector would log to standard error by itself; the zero logger
	// drops what it is given.
	go reflector.RunWithContext(klog.NewContext(ctx, klog.Logger{}))
	return f
}

// FollowPods follows pods.
func (c *Cluster) FollowPods(ctx context.Context, scope Scope) *Follower[*corev1.Pod] {
	return follow[*corev1.Pod](ctx, c.core.Pods(scope.Namespace), scope)
}

// FollowReplicaSets follows ReplicaSets.
func (c *Cluster) FollowReplicaSets(ctx context.Context, scope Scope) *Follower[*appsv1.ReplicaSet] {
	return follow[*appsv1.ReplicaSet](ctx, c.apps.ReplicaSets(scope.Namespace), scope)
}

// FollowDeployments follows Deployments.
func (c *Cluster) FollowDeployments(ctx context.Context, scope Scope) *Follower[*appsv1.Deployment] {
	return follow[*appsv1.Deployment](ctx, c.apps.Deployments(scope.Namespace), scope)
}

// FollowEndpointSlices follows the EndpointSlices of one Service.
func (c *Cluster) FollowEndpointSlices(ctx context.Context, namespace, service string, changed func()) *Follower[*discoveryv1.EndpointSlice] {
	scope := Scope{Namespace: namespace, Selector: discoveryv1.LabelServiceName + "=" + service, Changed: changed}
	return follow[*discoveryv1.EndpointSlice](ctx, c.slices.EndpointSlices(namespace), scope)
}

// Follow follows one object of any kind.
func (c *Cluster) Follow(ctx context.Context, ref Ref, changed func()) (*Follower[*unstructured.Unstructured], error) {
	client, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	return follow[*unstructured.Unstructured](ctx, client, Scope{Namespace: ref.Namespace, Name: ref.Name, Changed: changed}), nil
}
