package localkube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// api is the little that Up needs of the API server, over plain HTTPS: asking
// for an object and applying one.
type api struct {
	base string
	http *http.Client
}

// newAPI reads the certificates anew, so that it works as soon as the
// supervisor has made them.
func newAPI(base, caFile, certFile, keyFile string) (*api, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &api{base: base, http: &http.Client{
		Timeout: 10 * time.Second,
		// No proxy: the API server is on this machine.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}},
	}}, nil
}

func (p paths) api(l layout) (*api, error) {
	return newAPI(l.apiServer(), p.pki("ca.crt"), p.pki(userAdmin+".crt"), p.pki(userAdmin+".key"))
}

func (a *api) close() { a.http.CloseIdleConnections() }

// get decodes the answer into v, unless v is nil.
func (a *api) get(ctx context.Context, path string, v any) error {
	return a.do(ctx, http.MethodGet, path, "", nil, v)
}

// apply is a server-side apply: it makes the object as described, whether or
// not it exists.
func (a *api) apply(ctx context.Context, path string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return a.do(ctx, http.MethodPatch, path+"?fieldManager=towline-cluster&force=true", "application/apply-patch+yaml", body, nil)
}

func (a *api) do(ctx context.Context, method, path, contentType string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, strings.TrimSpace(string(text)))
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}

// nodeObject is the part of a Node that says whether it is ready.
type nodeObject struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Conditions []struct {
			Type              string    `json:"type"`
			Status            string    `json:"status"`
			Message           string    `json:"message"`
			LastHeartbeatTime time.Time `json:"lastHeartbeatTime"`
		} `json:"conditions"`
	} `json:"status"`
}

// notReady says why the node is not ready, or "". A word from before the
// kubelet was started again does not count; heartbeats have whole seconds.
func (n nodeObject) notReady(since time.Time) string {
	for _, condition := range n.Status.Conditions {
		switch {
		case condition.Type != "Ready":
		case condition.Status != "True":
			return condition.Message
		case condition.LastHeartbeatTime.Before(since.Truncate(time.Second)):
			return "its kubelet has not reported since it was started"
		default:
			return ""
		}
	}
	return "its kubelet has not reported yet"
}

func (a *api) nodes(ctx context.Context) ([]nodeObject, error) {
	var list struct {
		Items []nodeObject `json:"items"`
	}
	err := a.get(ctx, "/api/v1/nodes", &list)
	return list.Items, err
}
