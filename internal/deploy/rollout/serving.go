package rollout

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
)

// Serving is what the endpoints of a Service are to be.
type Serving struct {
	Namespace string
	Service   string
	Selector  map[string]string // of the pods that are to serve
	Only      bool              // and no others, not even some that are ending
}

// settled is how long the endpoints must stay as they are to be: a Service with
// more than a hundred of them has several slices, which change one by one.
const settled = 200 * time.Millisecond

// WaitServing returns when every ready pod of the selector, and with Only no
// other pod, is an endpoint of the Service. The version is that of the Service's
// endpoints: it is another one as soon as anything about them has changed.
func (w *Waiter) WaitServing(ctx context.Context, s Serving) (version string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	selector := labels.SelectorFromSet(s.Selector).String()
	pods := w.Cluster.FollowPods(ctx, kube.Scope{Namespace: s.Namespace, Selector: selector, Changed: notify})
	endpoints := w.Cluster.FollowEndpointSlices(ctx, s.Namespace, s.Service, notify)
	ticker := time.NewTicker(settled)
	defer ticker.Stop()
	var since time.Time
	var missing string
	for {
		for _, err := range []error{pods.Err(), endpoints.Err()} {
			if err != nil {
				return "", err
			}
		}
		if !pods.Synced() || !endpoints.Synced() {
			missing = "its endpoints are not known yet"
		} else if missing = servesNot(s, pods.Items(), kube.Endpoints(endpoints.Items())); missing != "" {
			since = time.Time{}
			w.Log.Report("Service "+s.Service, missing)
		} else if since.IsZero() {
			since = time.Now()
		} else if time.Since(since) >= settled {
			return versionOf(endpoints.Items()), nil
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); refusal.Is(cause) {
				return "", refusal.New("Service %s: %s", s.Service, cmp.Or(missing, "its endpoints had only just become what they are to be"))
			}
			return "", fmt.Errorf("wait for Service %s: %w", s.Service, context.Cause(ctx))
		}
	}
}

// versionOf is short, and another one for each change of one of the slices.
func versionOf(endpoints []*discoveryv1.EndpointSlice) string {
	var each []string
	for _, slice := range endpoints {
		each = append(each, string(slice.UID)+"@"+slice.ResourceVersion)
	}
	slices.Sort(each)
	sum := sha256.Sum256([]byte(strings.Join(each, " ")))
	return hex.EncodeToString(sum[:8])
}

// servesNot says what keeps a Service from serving as it should, or nothing.
// It is pure.
func servesNot(s Serving, pods []*corev1.Pod, endpoints []kube.Endpoint) string {
	serving, ready := 0, map[string]bool{}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && IsReady(pod) {
			ready[string(pod.UID)] = true
		}
	}
	for _, e := range endpoints {
		switch {
		case ready[e.UID] && e.Ready:
			serving++
		case s.Only && e.Reachable && !ready[e.UID]:
			return fmt.Sprintf("the pod %s, which is to leave, is still an endpoint", e.Pod)
		}
	}
	switch {
	case len(ready) == 0:
		return "no pod that is to serve is ready"
	case serving < len(ready):
		return fmt.Sprintf("%d of %d pods are endpoints", serving, len(ready))
	}
	return ""
}

// WaitGone returns when no pod of the selector is left, those included that
// are ending.
func (w *Waiter) WaitGone(ctx context.Context, namespace, name, selector string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	pods := w.Cluster.FollowPods(ctx, kube.Scope{Namespace: namespace, Selector: selector, Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for synced := false; ; {
		if err := pods.Err(); err != nil {
			return err
		}
		left := len(pods.Items())
		if synced && left == 0 {
			return nil
		}
		if synced = pods.Synced(); synced {
			w.Log.Report(name, "pods left: "+strconv.Itoa(left))
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); refusal.Is(cause) {
				return refusal.New("%s: %d pods are still there", name, left)
			}
			return fmt.Errorf("wait for the pods of %s to go: %w", name, context.Cause(ctx))
		}
	}
}
