package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/towline/towline/internal/kube"
)

// Faults are the rules of a proxy and what their chances are drawn from. The
// same seed befalls the same requests.
type Faults struct {
	Seed  uint64
	Rules []Rule
}

// Proxy stands before a real API server, speaks for its clients with the
// cluster's own credentials, and lets faults befall their requests. It listens
// on loopback, for whoever has its kubeconfig. Its methods are safe for
// concurrent use.
type Proxy struct {
	Kubeconfig string        // path of a kubeconfig that leads through the proxy
	Cluster    *kube.Cluster // connected through the proxy

	address string
	token   string
	server  *http.Server
	reverse *httputil.ReverseProxy

	mu       sync.Mutex
	faults   Faults
	seen     []int // how many requests have matched each rule
	hits     []Hit
	listener net.Listener // nil while the server is away
	conns    map[*conn]bool
	closed   bool
	ended    chan struct{} // closed with the proxy
	away     sync.WaitGroup
}

// Faulty puts a proxy before the cluster of a kubeconfig (empty: of
// $KUBECONFIG) for the time of a test.
func Faulty(tb testing.TB, kubeconfig string, faults Faults) *Proxy {
	tb.Helper()
	if kubeconfig == "" {
		kubeconfig = pathFromEnvironment(tb)
	}
	p, err := newProxy(kubeconfig, tb.TempDir(), faults)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.close)
	return p
}

func newProxy(kubeconfig, dir string, faults Faults) (*Proxy, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	// Upgrades, as for exec, exist in HTTP/1.1 only.
	config.NextProtos = []string{"http/1.1"}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("use the credentials of %s: %w", kubeconfig, err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("read the address of the API server: %w", err)
	}
	pair, authority, err := selfSigned()
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0)
	p := &Proxy{token: rand.Text(), conns: map[*conn]bool{}, ended: make(chan struct{})}
	p.reverse = &httputil.ReverseProxy{
		Transport: transport, ErrorLog: quiet,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Authorization")
		},
		// As if the API server itself had gone away.
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) { connOf(r).reset(); panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{
		Handler: p, ErrorLog: quiet, ReadHeaderTimeout: time.Minute,
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	p.Arm(faults)
	if err := p.listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	if p.Kubeconfig, err = p.writeKubeconfig(dir, authority); err != nil {
		return nil, errors.Join(err, p.server.Close())
	}
	p.Cluster, err = kube.Connect(p.Kubeconfig, "")
	return p, err
}

// Arm replaces the rules. Their counts start afresh; the hits so far stay.
func (p *Proxy) Arm(faults Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.seen = faults, make([]int, len(faults.Rules))
}

// Hits are the requests that faults have befallen, in order.
func (p *Proxy) Hits() []Hit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hits)
}

// judge counts a call and returns the first rule that hits it.
func (p *Proxy) judge(c call) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var hit *Rule
	for i, rule := range p.faults.Rules {
		if !rule.matches(c) {
			continue
		}
		p.seen[i]++
		if hit == nil && rule.hits(p.faults.Seed, i, p.seen[i]) {
			hit = &p.faults.Rules[i]
		}
	}
	if hit == nil {
		return Rule{}, false
	}
	p.hits = append(p.hits, Hit{Fault: hit.Fault, Verb: c.verb, Resource: c.resource, Name: c.name})
	return *hit, true
}

// ServeHTTP passes a request on, unless a fault befalls it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+p.token {
		http.Error(w, "use the proxy's own kubeconfig", http.StatusUnauthorized)
		return
	}
	c := callOf(r)
	rule, hit := p.judge(c)
	if !hit {
		p.reverse.ServeHTTP(w, r)
		return
	}
	switch rule.Fault {
	case Conflict, Busy, Broken:
		refuse(w, c, rule)
	case Lost:
		p.reverse.ServeHTTP(nowhere{http.Header{}}, r)
		connOf(r).reset()
		panic(http.ErrAbortHandler)
	case Away:
		p.leave(rule.span())
		panic(http.ErrAbortHandler)
	case Dropped:
		drop := time.AfterFunc(rule.span(), connOf(r).reset)
		defer drop.Stop()
		p.reverse.ServeHTTP(w, r)
	case Slow:
		select {
		case <-time.After(rule.span()):
			p.reverse.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// refuse answers as the API server does.
func refuse(w http.ResponseWriter, c call, rule Rule) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Details: &metav1.StatusDetails{Name: c.name, Kind: c.resource},
	}
	switch rule.Fault {
	case Conflict:
		status.Code, status.Reason = http.StatusConflict, metav1.StatusReasonConflict
		status.Message = fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", c.resource, c.name)
	case Busy:
		seconds := int32(max(1, rule.span().Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		status.Code, status.Reason, status.Details.RetryAfterSeconds = http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, seconds
		status.Message = "the server has received too many requests and has asked us to try again later"
	default:
		status.Code, status.Reason = http.StatusInternalServerError, metav1.StatusReasonInternalError
		status.Message = "Internal error occurred: etcdserver: leader changed"
	}
	text, err := json.Marshal(status)
	if err != nil {
		panic(err) // a Status can always be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_, _ = w.Write(text) // who does not wait for it has gone
}

// nowhere takes an answer that nobody will see.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header            { return n.header }
func (n nowhere) Write(text []byte) (int, error) { return len(text), nil }
func (n nowhere) WriteHeader(int)                {}
