package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward opens TCP connections to the ports of one pod, through the API
// server and the pod's node: the way of `kubectl port-forward`. It needs the
// verbs get and create for pods/portforward. The pod sees them come from
// itself, and they last while the pod's network does, also when it ends. All
// methods are safe for concurrent use.
type Forward struct {
	pod  string
	conn httpstream.Connection
	next atomic.Int64
}

// Forward asks the API server for a way to a pod. Close it.
func (c *Cluster) Forward(ctx context.Context, namespace, pod string) (*Forward, error) {
	target, err := url.Parse(strings.TrimSuffix(c.Server, "/") + "/api/v1/namespaces/" + namespace + "/pods/" + pod + "/portforward")
	if err != nil {
		return nil, fmt.Errorf("forward ports of pod %s: %w", pod, err)
	}
	dialer, err := c.forwardDialer(target)
	if err != nil {
		return nil, fmt.Errorf("forward ports of pod %s: %w", pod, err)
	}
	type answer struct {
		conn httpstream.Connection
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		answered <- answer{conn, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("forward ports of pod %s: %w", pod, a.err)
		}
		return &Forward{pod: pod, conn: a.conn}, nil
	case <-ctx.Done():
		// The dialer heeds no context: what it still opens is closed.
		go func() {
			if a := <-answered; a.err == nil {
				_ = a.conn.Close()
			}
		}()
		return nil, fmt.Errorf("forward ports of pod %s: %w", pod, context.Cause(ctx))
	}
}

// forwardDialer tries WebSocket first and SPDY for servers before Kubernetes
// 1.31, as kubectl does.
func (c *Cluster) forwardDialer(target *url.URL) (httpstream.Dialer, error) {
	config := rest.CopyConfig(c.config)
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Close ends the way and all connections that were opened through it.
func (f *Forward) Close() error { return f.conn.Close() }

// Closed is closed when the way has ended, also because the API server or the
// node has gone. Connections that were opened through it may not notice.
func (f *Forward) Closed() <-chan bool { return f.conn.CloseChan() }

// Dial opens a connection to a TCP port. It succeeds also when nobody listens
// there: the first read then fails.
func (f *Forward) Dial(port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(f.next.Add(1), 10))
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failure, err := f.conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open port %d of pod %s: %w", port, f.pod, err)
	}
	_ = failure.Close() // only the other side writes to it
	headers = headers.Clone()
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := f.conn.CreateStream(headers)
	if err != nil {
		f.conn.RemoveStreams(failure)
		return nil, fmt.Errorf("open port %d of pod %s: %w", port, f.pod, err)
	}
	near, far := net.Pipe()
	forwarded := &forwardedConn{Conn: near}
	go forwarded.pump(f.conn, data, failure, far)
	return forwarded, nil
}

// forwardedConn is the near end of a pipe to a stream: streams know no
// deadlines.
type forwardedConn struct {
	net.Conn

	mu  sync.Mutex
	err error // why the stream ended, as the node says; nil for a plain end
}

// pump carries data between the pipe and the stream until either ends.
func (c *forwardedConn) pump(conn httpstream.Connection, data, failure httpstream.Stream, far net.Conn) {
	go func() {
		_, _ = io.Copy(data, far)
		_ = data.Close()
	}()
	_, err := io.Copy(far, data)
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	_ = far.Close()
	// Data that nobody reads would hold up all other streams.
	_ = data.Reset()
	text, _ := io.ReadAll(io.LimitReader(failure, 4<<10))
	if len(text) > 0 {
		c.mu.Lock()
		c.err = errors.New(strings.TrimSpace(string(text)))
		c.mu.Unlock()
	}
	conn.RemoveStreams(data, failure)
}

// Read says why the connection ended when that was no plain end.
func (c *forwardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		err = cmp.Or(c.err, err)
	}
	return n, err
}
