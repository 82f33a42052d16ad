package verdict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe"
)

// proxied makes the transports of requests through the API server.
func proxied(route kube.Route) func(bool) http.RoundTripper {
	return func(keepAlive bool) http.RoundTripper {
		base := probe.NewTransport(keepAlive)
		if route.TLS != nil {
			base.TLSClientConfig = route.TLS.Clone()
		}
		outer, err := route.Authorize(base)
		if err != nil {
			return broken{err}
		}
		return authorized{outer, base}
	}
}

// apiServerRefuses begins the cause of requests that the API server has kept
// for itself.
const apiServerRefuses = "the API server refuses"

// refusedByAPIServer is that cause, empty when there was no such request.
func refusedByAPIServer(v pipeline.Verdict) string {
	for cause := range v.Losses {
		if strings.HasPrefix(cause, apiServerRefuses) {
			return cause
		}
	}
	return ""
}

// authorized adds credentials to a transport and still lets its connections
// be closed.
type authorized struct {
	http.RoundTripper
	base *http.Transport
}

// RoundTrip makes an error of an answer that is the API server's own: it says
// nothing of the application, and a 403 would count as answered.
func (a authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
	default:
		return response, nil
	}
	const most = 16 << 10 // bytes of a Status
	head, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	var status metav1.Status
	if json.Unmarshal(head, &status) == nil && status.Kind == "Status" && status.APIVersion == "v1" {
		_ = response.Body.Close() // what there is to read was read
		return nil, fmt.Errorf("%s: %s", apiServerRefuses, status.Message)
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), response.Body), response.Body}
	return response, nil
}

// CloseIdleConnections closes those of the transport below.
func (a authorized) CloseIdleConnections() { a.base.CloseIdleConnections() }

// broken answers every request with why it cannot be sent.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }
