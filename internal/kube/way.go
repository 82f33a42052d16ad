package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceProxy is the way to a Service through the API server, whatever other
// ways there are.
func (c *Cluster) ServiceProxy(ctx context.Context, namespace, name string) (Route, error) {
	service, port, err := c.service(ctx, namespace, name)
	if err != nil {
		return Route{}, err
	}
	route, err := c.proxyRoute(service, port)
	route.Exposed = port.NodePort != 0
	return route, err
}

// NoWayError says that a Service is not to be reached in some way, whoever asks.
type NoWayError struct{ Text string }

// Error is the text.
func (e *NoWayError) Error() string { return e.Text }

// ClusterURL is where a Service answers inside the cluster, without a path: its
// cluster address, or its name when it has none. One whose cluster address leads
// only to the pods of the node that asks is a *NoWayError.
func (c *Cluster) ClusterURL(ctx context.Context, namespace, name string) (string, error) {
	service, port, err := c.service(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	if localOnly(service) {
		return "", &NoWayError{fmt.Sprintf("service %s/%s answers on the nodes of its pods only, since its internalTrafficPolicy is Local: "+
			"requests from one other pod are dropped while its pods change their nodes", namespace, name)}
	}
	host := service.Spec.ClusterIP
	if host == "" || host == corev1.ClusterIPNone {
		host = name + "." + namespace + ".svc"
	}
	return scheme(port) + "://" + net.JoinHostPort(host, strconv.Itoa(int(port.Port))), nil
}

func (c *Cluster) service(ctx context.Context, namespace, name string) (*corev1.Service, corev1.ServicePort, error) {
	var service *corev1.Service
	err := retry(ctx, func(ctx context.Context) (err error) {
		service, err = c.core.Services(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, corev1.ServicePort{}, fmt.Errorf("get service %s/%s: %w", namespace, name, err)
	}
	port, ok := httpPort(service.Spec.Ports)
	if !ok {
		return nil, port, fmt.Errorf("service %s/%s has no TCP port to send requests to", namespace, name)
	}
	return service, port, nil
}

// PodProxy is the way to a port of a pod through the API server: the base of a
// URL, and the transport that has the cluster's credentials.
func (c *Cluster) PodProxy(namespace, name string, port int) (base string, transport http.RoundTripper) {
	if transport = c.http.Transport; transport == nil {
		transport = http.DefaultTransport
	}
	path := "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(name) + ":" + strconv.Itoa(port) + "/proxy"
	return strings.TrimSuffix(c.Server, "/") + path, transport
}
