package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// UnreachableError says that a cluster's API server does not answer, or not to
// us. Its text names the context, the address and the mend.
type UnreachableError struct {
	Context string // name of the kubeconfig context, or of the stored cluster
	Stored  bool   // it is a stored cluster's
	Server  string
	Err     error
	Hint    string
}

func (e *UnreachableError) Error() string {
	which := "cluster of context"
	if e.Stored {
		which = "stored cluster"
	}
	text := fmt.Sprintf("%s %q at %s: %v", which, e.Context, e.Server, e.Err)
	if e.Hint != "" {
		text += ". " + e.Hint
	}
	return text
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Ping asks the API server for its version, such as "v1.37.2", within five
// seconds. Any failure is an *UnreachableError.
func (c *Cluster) Ping(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pingTimeout, fmt.Errorf("no answer within %s", pingTimeout))
	defer cancel()
	url := strings.TrimSuffix(c.Server, "/") + "/version"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", c.unreachable(err, "Mend the server address in the kubeconfig.")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if explained, ok := errors.AsType[*ConnectionError](err); ok {
			return "", c.unreachable(explained, "")
		}
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
			err = cause
		}
		return "", c.unreachable(err, "Check that the cluster runs and that the server address in the kubeconfig is right; a local one is started by `towline cluster up`.")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", c.unreachable(fmt.Errorf("read its version: %w", err), "Try again.")
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return "", c.unreachable(refusal(body), "")
	default:
		return "", c.unreachable(fmt.Errorf("GET /version answered %s", response.Status), "Check that the address is that of a Kubernetes API server.")
	}
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil || info.GitVersion == "" {
		return "", c.unreachable(errors.New("GET /version did not answer with a version"), "Check that the address is that of a Kubernetes API server.")
	}
	return info.GitVersion, nil
}

// refusal is the error of a 401, in the words that the explainer gave it.
func refusal(body []byte) error {
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Message == "" {
		return errors.New("it refuses the credentials (401 Unauthorized)")
	}
	return errors.New(status.Message)
}

func (c *Cluster) unreachable(err error, hint string) error {
	return &UnreachableError{Context: c.Context, Stored: c.stored, Server: c.Server, Err: err, Hint: hint}
}
