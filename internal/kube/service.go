package kube

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/towline/towline/internal/manifest"
)

// dialTimeout is how long an address may take to accept a connection before
// the next way to reach a Service is tried.
const dialTimeout = time.Second

// Route is a way to send HTTP requests to a Service from this machine.
type Route struct {
	URL string // without a path, no slash at its end
	// Public tells that the URL is of use to a person, without credentials.
	Public bool
	// Exposed tells that the Service has a node port or a load balancer, so that
	// a public way may open in a moment when there is none yet.
	Exposed bool
	// Via says in a few words which way it is, such as "node port 30080 of node1".
	Via string
	// Aside says which ways of the Service were not tried and why, for people;
	// empty when none was left aside.
	Aside string
	// TLS and Authorize, when they are set, belong to requests that go through
	// the API server: the TLS configuration of their transport, and what adds
	// the cluster's credentials around it.
	TLS       *tls.Config
	Authorize func(http.RoundTripper) (http.RoundTripper, error)
}

// Services lists the Services of a namespace.
func (c *Cluster) Services(ctx context.Context, namespace string) ([]corev1.Service, error) {
	var list *corev1.ServiceList
	err := retry(ctx, func(ctx context.Context) (err error) {
		list, err = c.core.Services(namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list services of namespace %s: %w", namespace, err)
	}
	return list.Items, nil
}

// EndpointSlices lists the EndpointSlices of a Service.
func (c *Cluster) EndpointSlices(ctx context.Context, namespace, service string) ([]discoveryv1.EndpointSlice, error) {
	var list *discoveryv1.EndpointSliceList
	err := retry(ctx, func(ctx context.Context) (err error) {
		list, err = c.slices.EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the endpoint slices of service %s: %w", service, err)
	}
	return list.Items, nil
}

// ServiceURL finds how to reach a Service from here: its load balancer, its
// node port on a node that accepts a connection, its cluster address when this
// process runs inside the cluster's network, else the API server's service
// proxy; see waysTo for those that are left aside. Ask when the Service has ready endpoints: without them no address
// accepts a connection and only the proxy is left.
func (c *Cluster) ServiceURL(ctx context.Context, namespace, name string) (Route, error) {
	var service *corev1.Service
	err := retry(ctx, func(ctx context.Context) (err error) {
		service, err = c.core.Services(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return Route{}, fmt.Errorf("get service %s/%s: %w", namespace, name, err)
	}
	port, ok := httpPort(service.Spec.Ports)
	if !ok {
		return Route{}, fmt.Errorf("service %s/%s has no TCP port to send requests to", namespace, name)
	}
	var nodes []corev1.Node
	if port.NodePort != 0 {
		list, err := c.core.Nodes().List(ctx, metav1.ListOptions{Limit: 100})
		if err == nil { // Whoever may not list nodes can still use the other ways.
			nodes = list.Items
		}
	}
	ways := waysTo(service, port, nodes, inPod())
	if found, ok := firstReachable(ctx, ways.candidates); ok {
		return Route{URL: scheme(port) + "://" + found.address, Public: found.public, Exposed: ways.exposed, Via: found.via, Aside: ways.aside}, nil
	}
	route, err := c.proxyRoute(service, port)
	route.Exposed, route.Aside = ways.exposed, ways.aside
	return route, err
}

// ways are how a Service may be reached without the API server.
type ways struct {
	candidates []candidate // the best first
	exposed    bool        // as Route.Exposed
	aside      string      // as Route.Aside
}

// waysTo is pure. Addresses that lead only to the pods of the node that is
// asked are left aside: while pods come and go they drop requests that another
// node answers, though the application loses none.
func waysTo(service *corev1.Service, port corev1.ServicePort, nodes []corev1.Node, inside bool) ways {
	w := ways{candidates: balancers(service, port)}
	var aside []string
	switch {
	case port.NodePort == 0:
	case service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		w.exposed = len(w.candidates) > 0
		aside = append(aside, "its node ports, since externalTrafficPolicy is Local")
	default:
		w.exposed = true
		w.candidates = append(w.candidates, nodePorts(nodes, port)...)
	}
	ip := service.Spec.ClusterIP
	switch {
	case !inside || ip == "" || ip == corev1.ClusterIPNone:
	case localOnly(service):
		aside = append(aside, "its cluster address, since internalTrafficPolicy is Local")
	default:
		w.candidates = append(w.candidates, candidate{net.JoinHostPort(ip, strconv.Itoa(int(port.Port))), "cluster address", false})
	}
	if len(aside) > 0 {
		w.aside = "not by " + strings.Join(aside, ", nor by ") + ": a node without a pod of it drops requests"
	}
	return w
}

// localOnly tells whether the cluster address of a Service leads only to the
// pods of the node that it is asked from.
func localOnly(service *corev1.Service) bool {
	policy := service.Spec.InternalTrafficPolicy
	return policy != nil && *policy == corev1.ServiceInternalTrafficPolicyLocal
}

// httpPort chooses the port that most likely speaks HTTP.
func httpPort(ports []corev1.ServicePort) (corev1.ServicePort, bool) {
	tcp := manifest.HTTPPorts(ports)
	if len(tcp) == 0 {
		return corev1.ServicePort{}, false
	}
	return tcp[0], true
}

func scheme(p corev1.ServicePort) string {
	if manifest.ServesHTTPS(p) {
		return "https"
	}
	return "http"
}

// candidate is an address that may reach the Service.
type candidate struct {
	address string // host:port
	via     string
	public  bool
}

func balancers(service *corev1.Service, port corev1.ServicePort) []candidate {
	var found []candidate
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if host := cmp.Or(ingress.Hostname, ingress.IP); host != "" {
			found = append(found, candidate{net.JoinHostPort(host, strconv.Itoa(int(port.Port))), "load balancer", true})
		}
	}
	return found
}

func nodePorts(nodes []corev1.Node, port corev1.ServicePort) []candidate {
	var found []candidate
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, node := range nodes {
			for _, address := range node.Status.Addresses {
				if address.Type == kind {
					via := fmt.Sprintf("node port %d of %s", port.NodePort, node.Name)
					found = append(found, candidate{net.JoinHostPort(address.Address, strconv.Itoa(int(port.NodePort))), via, true})
				}
			}
		}
	}
	return found[:min(len(found), 10)]
}

// firstReachable dials all candidates at once and returns the first of the
// list that accepted.
func firstReachable(ctx context.Context, candidates []candidate) (candidate, bool) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	accepts := make([]chan bool, len(candidates))
	for i, c := range candidates {
		accepts[i] = make(chan bool, 1)
		go func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
			if err == nil {
				err = conn.Close()
			}
			accepts[i] <- err == nil
		}()
	}
	for i, c := range candidates {
		if <-accepts[i] {
			return c, true
		}
	}
	return candidate{}, false
}

// proxyRoute goes through the API server with the cluster's own credentials.
func (c *Cluster) proxyRoute(service *corev1.Service, port corev1.ServicePort) (Route, error) {
	target := service.Name + ":" + strconv.Itoa(int(port.Port))
	if scheme(port) == "https" {
		target = "https:" + target
	}
	config := rest.CopyConfig(c.config)
	settings, err := rest.TLSConfigFor(config)
	if err != nil {
		return Route{}, fmt.Errorf("reach the cluster of context %q: %w", c.Context, err)
	}
	return Route{
		URL: fmt.Sprintf("%s/api/v1/namespaces/%s/services/%s/proxy", strings.TrimSuffix(c.Server, "/"), service.Namespace, target),
		Via: "service proxy of the API server",
		TLS: settings,
		Authorize: func(base http.RoundTripper) (http.RoundTripper, error) {
			return rest.HTTPWrappersForConfig(config, base)
		},
	}, nil
}
