package drain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxWaiting bounds how many may ask at once whether the pod is drained: it is
// asked once for each container of the pod.
const maxWaiting = 64

// admin answers the three requests that a pod's life consists of:
//
//	GET  /readyz   200 as soon as the ports are open
//	POST /drain    begins the drain, from inside the pod only
//	GET  /drained  answers when the drain is complete
//
// The kubelet asks /drained from outside the pod, and so may anybody: it does
// nothing but wait. It begins no drain, since who reaches the pod's port must
// not be able to take it out of service. If nobody begins one at all, it
// answers after the longest time that a drain could have taken.
func (p *proxy) admin() http.Handler {
	waiting := make(chan struct{}, maxWaiting)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) {
		if !local(r.RemoteAddr) {
			http.Error(w, "a drain is begun from inside the pod", http.StatusForbidden)
			return
		}
		p.drain.begin()
	})
	mux.HandleFunc("GET /drained", func(w http.ResponseWriter, r *http.Request) {
		select {
		case waiting <- struct{}{}:
			defer func() { <-waiting }()
		default:
			http.Error(w, "too many wait already", http.StatusServiceUnavailable)
			return
		}
		p.await(r.Context())
	})
	return mux
}

// await waits until the pod is drained. A drain that has begun ends by itself;
// one that has not is given the time that it would have taken.
func (p *proxy) await(ctx context.Context) {
	limit := time.NewTimer(p.Detach + p.Longest)
	defer limit.Stop()
	select {
	case <-p.drain.begun:
	case <-ctx.Done():
	case <-limit.C:
		p.Logger.Warn("drain: the pod ends, and nobody began to drain it")
		return
	}
	select {
	case <-p.drain.drained:
	case <-ctx.Done():
	}
}

// local tells that a request came over the loopback device. The kernel lets no
// packet with such an address in from outside.
func local(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// Begin asks the proxy of this pod to begin its drain. Zero means
// DefaultAdmin.
func Begin(ctx context.Context, admin int) error {
	port := strconv.Itoa(Config{Admin: admin}.withDefaults().Admin)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost:"+port+"/drain", http.NoBody)
	if err != nil {
		return fmt.Errorf("begin the drain: %w", err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("begin the drain: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("begin the drain: %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}
