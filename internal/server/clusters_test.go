package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// fakeClusters answers by the name of the cluster. What it was given last is
// in added.
type fakeClusters struct{ added chan kube.Credential }

var _ server.Clusters = fakeClusters{}

func (f fakeClusters) List(context.Context) ([]client.Cluster, error) {
	return []client.Cluster{{Name: "production", Stored: true}}, nil
}

func (f fakeClusters) Add(_ context.Context, name string, credential kube.Credential, _ bool) (client.Cluster, error) {
	switch name {
	case "taken":
		return client.Cluster{}, fmt.Errorf("cluster taken: %w", store.ErrExists)
	case "wrong":
		return client.Cluster{}, &kube.CredentialError{Field: "server", Message: "the URL is missing", Hint: "write one"}
	}
	f.added <- credential
	return client.Cluster{Name: name, Stored: true}, nil
}

func (f fakeClusters) Remove(_ context.Context, name string) error {
	return fmt.Errorf("cluster %s: %w", name, store.ErrNotFound)
}

func (f fakeClusters) Test(_ context.Context, name, namespace string) (client.ClusterTest, error) {
	if name == "lost" {
		return client.ClusterTest{}, &secret.LostKeyError{Name: "cluster lost", Path: "/data/keys"}
	}
	return client.ClusterTest{Name: name, Namespace: namespace, Missing: []string{}}, nil
}

func (f fakeClusters) Rekey(context.Context) (int, error) { return 2, nil }

func TestClustersOverTheAPI(t *testing.T) {
	t.Parallel()
	clusters := fakeClusters{added: make(chan kube.Credential, 1)}
	b := setupWith(t, succeed, clusters)
	ctx := t.Context()
	t.Run("only the admin may touch them", func(t *testing.T) {
		t.Parallel()
		for _, call := range [][2]string{{"GET", ""}, {"PUT", "/x"}, {"DELETE", "/x"}, {"POST", "/x/test"}, {"POST", "/rekey"}} {
			for _, token := range []string{"", tokens.Pull} {
				if got := status(t, call[0], b.url+"/api/v1/clusters"+call[1], token); got != http.StatusUnauthorized {
					t.Errorf("%s /clusters%s with token %q = %d", call[0], call[1], token, got)
				}
			}
		}
	})
	t.Run("every field of a credential arrives", func(t *testing.T) {
		t.Parallel()
		want := kube.Credential{
			Kind: kube.EKSCredential, Server: "https://k", CA: "ca", Insecure: true, ServerName: "n", ProxyURL: "http://p", Namespace: "web",
			Token: "t", Certificate: "c", Key: "k", User: "u", Groups: []string{"g"}, Password: "p",
			EKSCluster: "e", Region: "r", Role: "o", AccessKey: "a", SecretKey: "s", SessionToken: "y",
		}
		sent, err := client.CredentialOf(want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.api.AddCluster(ctx, "production", client.ClusterRequest{Credential: sent}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%q", fields(want)), fmt.Sprintf("%q", fields(<-clusters.added))); diff != "" {
			t.Errorf("credential (-want +got):\n%s", diff)
		}
	})
	t.Run("errors are told with the way to mend them", func(t *testing.T) {
		t.Parallel()
		good := client.ClusterRequest{Credential: client.Credential{Kind: "bearer-token"}}
		_, taken := b.api.AddCluster(ctx, "taken", good)
		_, wrong := b.api.AddCluster(ctx, "wrong", good)
		_, name := b.api.AddCluster(ctx, "../x", good)
		_, kind := b.api.AddCluster(ctx, "x", client.ClusterRequest{Credential: client.Credential{Kind: "kubeconfig"}})
		_, lost := b.api.TestCluster(ctx, "lost", "")
		for want, err := range map[string]error{
			"exists already: give it a new credential with --replace": taken,
			"the URL is missing: write one":                           wrong,
			"not found":                                               b.api.RemoveCluster(ctx, "x"),
			"is not in /data/keys":                                    lost,
			"validation failed":                                       errors.Join(name, kind),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		}
		if name == nil || kind == nil {
			t.Errorf("a path as a name: %v; a file of the server as a credential: %v", name, kind)
		}
	})
	t.Run("no answer repeats what was sent", func(t *testing.T) {
		t.Parallel()
		const hidden = "hidden-secret"
		for _, body := range []string{
			`{"credential": {"kind": "` + hidden + `", "token": "` + hidden + `"}}`,
			`{"credential": {"kind": "bearer-token", "token": ["` + hidden + `"]}}`,
			`{"credential": {"kind": "bearer-token", "tokens": "` + hidden + `"}}`,
			`{"credential": {"kind": "bearer-token", "token": "` + hidden + `"`,
			`{"credential": {"kind": "bearer-token"}, "replace": "` + hidden + `"}`,
			hidden,
		} {
			request, err := http.NewRequestWithContext(ctx, http.MethodPut, b.url+"/api/v1/clusters/x", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+tokens.Admin)
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode/100 != 4 || strings.Contains(string(text), hidden) {
				t.Errorf("%s is answered %s %v\n%s", body, response.Status, err, text)
			}
		}
	})
}

// fields are the credential's fields, secrets included, which its own String
// would hide.
func fields(c kube.Credential) []any {
	return []any{
		c.Kind, c.Server, c.CA, c.Insecure, c.ServerName, c.ProxyURL, c.Namespace, c.Token, c.Certificate, c.Key, c.User, c.Groups, c.Password,
		c.EKSCluster, c.Region, c.Role, c.AccessKey, c.SecretKey, c.SessionToken,
	}
}
