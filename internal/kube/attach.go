package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// AttachRequest names a container that runs and reads its standard input.
type AttachRequest struct {
	Namespace string
	Pod       string
	Container string
}

// Attach writes input to the standard input of a container, as `kubectl attach
// -i` does, and returns when the container has ended or ctx has. What the
// container prints is in the error when it fails. It needs the verbs get and
// create for pods/attach.
func (c *Cluster) Attach(ctx context.Context, r AttachRequest, input io.Reader) error {
	query := url.Values{"container": {r.Container}, "stdin": {"true"}, "stdout": {"true"}, "stderr": {"true"}}
	target, err := url.Parse(strings.TrimSuffix(c.Server, "/") + "/api/v1/namespaces/" + r.Namespace + "/pods/" + r.Pod + "/attach?" + query.Encode())
	if err != nil {
		return fmt.Errorf("attach to pod %s: %w", r.Pod, err)
	}
	executor, err := c.attachExecutor(target)
	if err != nil {
		return fmt.Errorf("attach to pod %s: %w", r.Pod, err)
	}
	out := &limited{left: maxLogBytes}
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input, Stdout: out, Stderr: out})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("attach to pod %s: %w %s", r.Pod, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// attachExecutor tries WebSocket first and SPDY for older servers, as kubectl
// does.
func (c *Cluster) attachExecutor(target *url.URL) (remotecommand.Executor, error) {
	config := rest.CopyConfig(c.config)
	socket, err := remotecommand.NewWebSocketExecutor(config, "GET", target.String())
	if err != nil {
		return nil, err
	}
	old, err := remotecommand.NewSPDYExecutor(config, "POST", target)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// limited keeps what comes first and drops what is too much. What a container
// prints on its two streams comes at the same time, and may still come when
// nobody waits for it any more.
type limited struct {
	mu   sync.Mutex
	text bytes.Buffer
	left int // bytes
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(p), l.left)
	l.left -= n
	l.text.Write(p[:n])
	return len(p), nil
}

func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
