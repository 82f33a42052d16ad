package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/waittest"
)

// gatewayAPI is the module whose definition of HTTPRoute the tests use.
const gatewayAPI = "sigs.k8s.io/gateway-api@v1.6.3"

// defineRoutes brings the definition of HTTPRoute to the cluster, as the module
// of the Gateway API has it, and takes it away at the end.
func defineRoutes(t *testing.T, cluster *kube.Cluster) {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", gatewayAPI)
	download.Dir = t.TempDir()
	out, err := download.Output()
	if err != nil {
		t.Fatalf("this test needs the Go module %s, by the module proxy or from the module cache: %v\n%s", gatewayAPI, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	define(t, cluster, schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, string(text))
}

// defining is the place for a test that defines a kind. With the definition all
// objects of the kind go, those of another test as well.
var defining = make(chan struct{}, 1)

// define brings a definition of a kind to the cluster until the end of the
// test, and waits until the kind is served.
func define(t *testing.T, cluster *kube.Cluster, kind schema.GroupVersionKind, text string) {
	t.Helper()
	take(t, defining)
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &definition.Object); err != nil {
		t.Fatal(err)
	}
	const mark = "towline.dev/test"
	foreign := false
	waittest.Until(t, "an earlier test's definition has gone", func() bool {
		live, err := cluster.Get(t.Context(), kube.RefOf(&definition))
		foreign = err == nil && live.GetLabels()[mark] == ""
		return kube.IsNotFound(err) || err == nil && live.GetDeletionTimestamp() == nil
	})
	if foreign {
		return
	}
	definition.SetLabels(map[string]string{mark: "yes"})
	if _, err := cluster.Apply(t.Context(), &definition, kube.ApplyOptions{Manager: "towline-test", Force: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Delete(context.WithoutCancel(t.Context()), kube.RefOf(&definition), ""); err != nil {
			t.Error(err)
		}
	})
	waittest.Until(t, "the kind of "+definition.GetName()+" is served", func() bool {
		_, err := cluster.List(t.Context(), kind, "default", "") // Discovery alone may still tell of an earlier one.
		return err == nil
	})
}

// gatewayLag is how late the gateway learns of endpoints. Weights it has at
// once: a backend that comes with requests has no endpoint yet.
const gatewayLag = 500 * time.Millisecond

// gateway does what a gateway does for one HTTPRoute: it says that it has taken
// each generation, resolves the Services to the pods behind them, and sends
// them requests by their weights.
type gateway struct {
	cluster *kube.Cluster
	route   kube.Ref
	url     string
	changed chan struct{}
	coming  chan loading
	turn    atomic.Int64

	// Of the loop alone.
	endpoints map[string]*kube.Follower[*discoveryv1.EndpointSlice] // by Service
	ways      map[string]*way                                       // by pod
	noticed   map[string][]*way                                     // by Service
	said      int64                                                 // the generation whose status is written

	mu     sync.Mutex
	refs   []backend
	loaded map[string][]*way // by Service
	seen   []string          // the backends of the route, one after the other
}

// loading are the pods of a Service, which are known from a moment on.
type loading struct {
	at      time.Time
	service string
	pods    []*way
}

// way leads to a pod.
type way struct {
	pod   string
	open  func() (*kube.Forward, error)
	proxy *httputil.ReverseProxy
}

// serveRoute starts a gateway for HTTPRoute web.
func (b *bundle) serveRoute(t *testing.T) *gateway {
	t.Helper()
	defineRoutes(t, b.cluster)
	g := &gateway{
		cluster: b.cluster, route: b.ref("gateway.networking.k8s.io/v1", "HTTPRoute", "web"), changed: make(chan struct{}, 1), coming: make(chan loading, 100),
		endpoints: map[string]*kube.Follower[*discoveryv1.EndpointSlice]{}, ways: map[string]*way{}, noticed: map[string][]*way{}, loaded: map[string][]*way{},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.url = "http://" + listener.Addr().String() + "/"
	server := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	routes, err := b.cluster.Follow(ctx, g.route, g.notify)
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() { g.run(ctx, t, routes) })
	running.Go(func() { g.load(ctx) })
	t.Cleanup(func() {
		stop()
		_ = server.Close()
		running.Wait()
	})
	return g
}

func (g *gateway) notify() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// run follows the route and the endpoints of its backends.
func (g *gateway) run(ctx context.Context, t *testing.T, routes *kube.Follower[*unstructured.Unstructured]) {
	for {
		if items := routes.Items(); len(items) == 1 {
			if err := g.look(ctx, items[0]); err != nil && ctx.Err() == nil {
				t.Errorf("the gateway: %v", err)
			}
		}
		select {
		case <-g.changed:
		case <-ctx.Done():
			return
		}
	}
}

// load learns of endpoints, late and in order.
func (g *gateway) load(ctx context.Context) {
	for {
		select {
		case next := <-g.coming:
			select {
			case <-time.After(time.Until(next.at)): // its lag is what it is to show
			case <-ctx.Done():
				return
			}
			g.mu.Lock()
			g.loaded[next.service] = next.pods
			g.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// backend is what a route says of one Service.
type backend struct {
	Name   string
	Weight int64
}

func (g *gateway) look(ctx context.Context, route *unstructured.Unstructured) error {
	var spec struct {
		Spec struct {
			Rules []struct{ BackendRefs []backend }
		}
	}
	body, err := route.MarshalJSON()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &spec); err != nil {
		return err
	}
	refs := spec.Spec.Rules[0].BackendRefs
	if route.GetGeneration() != g.said {
		g.note(refs)
		if err := g.say(ctx, route.GetGeneration(), refs); err != nil {
			return err
		}
		g.said = route.GetGeneration()
	}
	for _, ref := range refs {
		if pods := g.pods(ctx, ref.Name); !slices.Equal(pods, g.noticed[ref.Name]) {
			g.noticed[ref.Name] = pods
			g.coming <- loading{time.Now().Add(gatewayLag), ref.Name, pods}
		}
	}
	return nil
}

// note takes the weights over.
func (g *gateway) note(refs []backend) {
	var names []string
	for _, ref := range refs {
		names = append(names, fmt.Sprint(ref.Name, " ", ref.Weight))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refs, g.seen = refs, append(g.seen, strings.Join(names, ", "))
}

// pods are the ways to the ready pods of a Service.
func (g *gateway) pods(ctx context.Context, service string) []*way {
	follower := g.endpoints[service]
	if follower == nil {
		follower = g.cluster.FollowEndpointSlices(ctx, g.route.Namespace, service, g.notify)
		g.endpoints[service] = follower
	}
	var pods []*way
	for _, e := range kube.Endpoints(follower.Items()) {
		if !e.Ready {
			continue
		}
		if g.ways[e.Pod] == nil {
			g.ways[e.Pod] = g.lead(ctx, e.Pod)
		}
		pods = append(pods, g.ways[e.Pod])
	}
	return slices.SortedFunc(slices.Values(pods), func(a, b *way) int { return strings.Compare(a.pod, b.pod) })
}

// lead makes the way to a pod, opened with the first request.
func (g *gateway) lead(ctx context.Context, pod string) *way {
	w := &way{pod: pod}
	w.open = sync.OnceValues(func() (*kube.Forward, error) { return g.cluster.Forward(ctx, g.route.Namespace, pod) })
	go func() { _, _ = w.open() }()
	w.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", pod },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(context.Context, string, string) (net.Conn, error) {
			forward, err := w.open()
			if err != nil {
				return nil, err
			}
			return forward.Dial(8080)
		}},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			http.Error(rw, "pod "+pod+": "+err.Error(), http.StatusBadGateway)
		},
	}
	return w
}

// ServeHTTP sends a request to a pod of the backend whose turn it is.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pods, ok := g.next()
	switch turn := g.turn.Load(); {
	case !ok:
		http.Error(w, "no backend", http.StatusInternalServerError)
	case len(pods) == 0:
		http.Error(w, "no endpoint", http.StatusServiceUnavailable)
	default:
		pods[turn%int64(len(pods))].proxy.ServeHTTP(w, r)
	}
}

// next are the pods of the backend whose turn it is, not ok when there is none.
func (g *gateway) next() (pods []*way, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	total := int64(0)
	for _, ref := range g.refs {
		total += ref.Weight
	}
	if total == 0 {
		return nil, false
	}
	at := g.turn.Add(1) % total
	for _, ref := range g.refs {
		if at -= ref.Weight; at < 0 {
			return g.loaded[ref.Name], true
		}
	}
	return nil, false
}

// say writes what the gateway makes of a generation into the route's status.
func (g *gateway) say(ctx context.Context, generation int64, refs []backend) error {
	condition := func(kind, status, reason string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": generation, "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}
	}
	resolved := condition("ResolvedRefs", "True", "ResolvedRefs")
	for _, ref := range refs {
		_, err := g.cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: g.route.Namespace, Name: ref.Name})
		if kube.IsNotFound(err) {
			resolved = condition("ResolvedRefs", "False", "BackendNotFound")
		} else if err != nil {
			return err
		}
	}
	parents := []any{map[string]any{
		"parentRef": map[string]any{"name": "edge"}, "controllerName": "towline.dev/test", "conditions": []any{condition("Accepted", "True", "Accepted"), resolved},
	}}
	body, err := json.Marshal(map[string]any{"status": map[string]any{"parents": parents}})
	if err != nil {
		return err
	}
	return patch(ctx, g.cluster, g.cluster.Path(g.route)+"/status", "application/merge-patch+json", body)
}

// patch sends what only controllers and people send.
func patch(ctx context.Context, cluster *kube.Cluster, path, form string, body []byte) error {
	_, transport := cluster.PodProxy("any", "any", 1) // It has the cluster's credentials.
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, cluster.Server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", form)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(string(answer))
	}
	return err
}

// took returns the backends that the route has had since the last call.
func (g *gateway) took() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}
