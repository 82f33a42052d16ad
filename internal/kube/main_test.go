package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/towline/towline/internal/localkube/apiservertest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := control.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// The static tokens and the bootstrap token of the API server below.
const (
	staticToken    = "the-static-token-of-alice"
	bootstrapToken = "07401b.f395accd246ae52d"
)

// control is one API server for all tests of this package that need flags of
// their own. The first test that asks for it starts it.
var control controlPlane

type controlPlane struct {
	once    sync.Once
	server  *apiservertest.Server
	webhook *httptest.Server
	dir     string
	err     error
}

func apiServer(t testing.TB) *apiservertest.Server {
	t.Helper()
	control.once.Do(control.start)
	if control.err != nil {
		t.Fatal(control.err)
	}
	return control.server
}

func (c *controlPlane) start() {
	if c.dir, c.err = os.MkdirTemp("", "towline-apiserver"); c.err != nil {
		return
	}
	// It authenticates EKS tokens as the webhook of EKS does: by checking the
	// signature of the request to STS.
	c.webhook = httptest.NewTLSServer(eksWebhook{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"})
	webhook := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: eks, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: none}]
contexts: [{name: eks, context: {cluster: eks, user: none}}]
current-context: eks
`, c.webhook.URL)
	c.err = errors.Join(
		os.WriteFile(filepath.Join(c.dir, "webhook.yaml"), []byte(webhook), 0o600),
		os.WriteFile(filepath.Join(c.dir, "tokens.csv"), []byte(staticToken+",alice,1,\"deployers,readers\"\n"), 0o600),
	)
	if c.err != nil {
		return
	}
	c.server, c.err = apiservertest.Start(context.Background(), c.dir,
		"--enable-bootstrap-token-auth", "--token-auth-file="+filepath.Join(c.dir, "tokens.csv"),
		"--authentication-token-webhook-config-file="+filepath.Join(c.dir, "webhook.yaml"), "--authentication-token-webhook-version=v1")
}

func (c *controlPlane) stop() error {
	var err error
	if c.server != nil {
		err = c.server.Stop()
	}
	if c.webhook != nil {
		c.webhook.Close()
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
