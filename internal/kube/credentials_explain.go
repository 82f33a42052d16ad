package kube

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kinds "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// explainer says in words what an API server leaves open when it refuses: of a
// 401 which credential it was and what is wrong with it, of a 403 the missing
// verb and resource, of a failed connection the mend. It stands in the
// transport, so that every request has it: lists, watches, logs and all.
type explainer struct {
	next    http.RoundTripper
	config  *rest.Config
	stored  bool // the credential is not of a kubeconfig
	mounted bool // it is the pod's own
	now     func() time.Time
}

func newExplainer(s settings) transport.WrapperFunc {
	config := rest.CopyConfig(s.config)
	return func(next http.RoundTripper) http.RoundTripper {
		return &explainer{next: next, config: config, stored: s.stored, mounted: s.mounted, now: time.Now}
	}
}

// WrappedRoundTripper is what client-go looks for to find the TLS settings
// below.
func (e *explainer) WrappedRoundTripper() http.RoundTripper { return e.next }

// RoundTrip is that of http.RoundTripper.
func (e *explainer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := e.next.RoundTrip(request)
	switch {
	case err != nil:
		return response, e.disconnected(err)
	case response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden, proxied(request):
		return response, nil
	}
	status, isStatus := readStatus(response)
	if response.StatusCode == http.StatusUnauthorized {
		status.Message = e.unauthorized(request, isStatus)
		status.Reason = metav1.StatusReasonUnauthorized
	} else {
		if !isStatus {
			return response, nil
		}
		status.Message = e.forbidden(request, status)
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	status.Status, status.Code = metav1.StatusFailure, int32(response.StatusCode)
	return response, answer(response, status)
}

var proxyPath = regexp.MustCompile(`/(?:services|pods|nodes)/[^/]+/proxy(?:/|$)`)

// proxied tells that a pod or a service may be what answers: its 401 and 403
// are its own.
func proxied(request *http.Request) bool { return proxyPath.MatchString(request.URL.Path) }

// maxStatus bounds what is read of a refusal.
const maxStatus = 64 << 10

// readStatus takes the body of a refusal and leaves it to be read again.
func readStatus(response *http.Response) (status metav1.Status, ok bool) {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	rest := response.Body
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), rest), rest}
	if err != nil {
		return metav1.Status{}, false
	}
	// The answer is in the form that the client asked for: JSON, protobuf or CBOR.
	object, _, err := kinds.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	found, ok := object.(*metav1.Status)
	if err != nil || !ok {
		return metav1.Status{}, false
	}
	return *found, true
}

// answer puts a status in the place of a response's body.
func answer(response *http.Response, status metav1.Status) error {
	text, err := json.Marshal(status)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // what is in it has been read
	response.Body = io.NopCloser(bytes.NewReader(text))
	response.ContentLength = int64(len(text))
	response.Header.Set("Content-Type", "application/json")
	response.Header.Set("Content-Length", strconv.Itoa(len(text)))
	response.Header.Del("Content-Encoding")
	return nil
}
