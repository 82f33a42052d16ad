package verdict

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// Where requests come from, as verify.from says it.
const (
	fromAuto   = "auto"
	fromDirect = "direct"
	fromProxy  = "proxy"
	fromPod    = "pod"
)

// viaProxy is how the verdict calls the way through the API server.
const viaProxy = "the API server's service proxy"

// checkVerify looks at what can be wrong without asking anybody.
func checkVerify(verify pipeline.Verify) error {
	from := cmp.Or(verify.From, fromAuto)
	method := strings.ToUpper(cmp.Or(verify.Method, http.MethodGet))
	switch {
	case !slices.Contains([]string{fromAuto, fromDirect, fromProxy, fromPod}, from):
		return refusal.New("verify.from: %q is neither auto, direct, proxy nor pod", verify.From)
	case !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, method):
		return refusal.New("verify.method: %q is neither GET, HEAD nor POST", verify.Method)
	case verify.Body != "" && method != http.MethodPost:
		return refusal.New("verify.body: a %s carries none; set verify.method to POST", method)
	case verify.URL != "" && from == fromProxy:
		return refusal.New("verify.from: the API server's proxy leads to Services, not to verify.url: leave one of the two out")
	case verify.URL != "" && verify.Path != "":
		return refusal.New("verify.path: write the path into verify.url")
	}
	w := Watchman{Config: Config{Verify: verify}}
	if err := w.load(cmp.Or(verify.URL, "http://service")).Validate(); err != nil {
		return refusal.New("verify: %v", err)
	}
	return nil
}

// load is what is sent to a Service's address, or to the URL that is given.
func (w *Watchman) load(base string) probe.Config {
	c := probe.Config{URL: base, Method: strings.ToUpper(w.Verify.Method), Body: w.Verify.Body, Rate: w.Verify.Rate, Header: http.Header{}}
	if w.Verify.URL == "" {
		c.URL += "/" + strings.TrimPrefix(w.Verify.Path, "/")
	}
	for name, value := range w.Verify.Header {
		c.Header.Set(name, value)
	}
	return c
}

// start finds the way to the Service and begins to send. A public way may take
// some patience.
func (w *Watchman) start(ctx context.Context, patience time.Duration) error {
	started, target, err := w.open(ctx, patience)
	if err != nil {
		return err
	}
	w.swap(started)
	v := started.Snapshot()
	w.Log.Line("probe   %s %s by %s, %d requests/s, half of them on new connections",
		strings.ToUpper(cmp.Or(w.Verify.Method, http.MethodGet)), shownURL(target), v.Via, w.Rate())
	return nil
}

// open begins to send requests by the way that is asked for, else by the first
// one that is open: straight from here, from a pod, by the API server's proxy.
// The proxy comes last because it sees least: the API server keeps connections
// to the application of its own, and may send a GET again on a new one.
func (w *Watchman) open(ctx context.Context, patience time.Duration) (prober, string, error) {
	from := cmp.Or(w.Verify.From, fromAuto)
	switch {
	case from == fromPod:
		return w.fromPod(ctx)
	case w.Verify.URL != "":
		config := w.load(w.Verify.URL)
		config.Via = "its URL"
		return send(ctx, config)
	}
	route, err := w.route(ctx, patience)
	if err != nil {
		return nil, "", refusal.Or(err, "verify: %v", err)
	}
	if route.Aside != "" {
		w.Log.Line("probe   %s is asked %s", w.Name(), route.Aside)
	}
	if route.Public {
		w.public = route.URL + "/"
	}
	if route.Authorize == nil && from != fromProxy {
		config := w.load(route.URL)
		config.Via = "the " + route.Via
		return send(ctx, config)
	}
	if from == fromDirect {
		return nil, "", refusal.New("verify.from: no way leads straight to %s from here: it has no load balancer and no node port that this machine reaches%s. "+
			"Set verify.from to pod or proxy, or verify.url", w.Name(), aside(route))
	}
	if from == fromAuto && w.AgentImage != nil {
		started, target, err := w.fromPod(ctx)
		if err == nil || ctx.Err() != nil {
			return started, target, err
		}
		w.Log.Line("probe   not from a pod, so by the API server's proxy: %s", err)
	}
	if route.Authorize == nil {
		if route, err = w.Cluster.ServiceProxy(ctx, w.Namespace, w.service); err != nil {
			return nil, "", refusal.Or(err, "verify: %v", err)
		}
	}
	config := w.load(route.URL)
	config.Transport = proxied(route)
	config.Via = viaProxy
	return send(ctx, config)
}

// aside are the ways that are not taken, as the end of a message.
func aside(route kube.Route) string {
	if route.Aside == "" {
		return ""
	}
	return " (" + route.Aside + ")"
}

// send sends from this process.
func send(ctx context.Context, config probe.Config) (prober, string, error) {
	started, err := probe.Start(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, "", refusal.New("verify: %v", err)
	}
	return here{started}, config.URL, nil
}

// route waits a moment for the data plane: a Service that is new may not be
// known yet on the node that is asked.
func (w *Watchman) route(ctx context.Context, patience time.Duration) (kube.Route, error) {
	deadline := time.Now().Add(patience)
	for {
		route, err := w.Cluster.ServiceURL(ctx, w.Namespace, w.service)
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

// shownURL is a URL as anybody may see it; see probe.Shown.
func shownURL(text string) string {
	parsed, err := probe.ParseURL(text)
	if err != nil {
		return "the URL of verify.url"
	}
	return probe.Shown(parsed)
}
