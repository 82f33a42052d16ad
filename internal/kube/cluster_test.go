package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func configMap(namespace, name, value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"data":     map[string]any{"key": value},
	}}
}

func TestApply(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	ctx := t.Context()

	t.Run("a dry-run keeps nothing", func(t *testing.T) {
		o := configMap(namespace, "dry", "1")
		if _, err := c.Apply(ctx, o, kube.ApplyOptions{DryRun: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, kube.RefOf(o)); !kube.IsNotFound(err) {
			t.Errorf("get after a dry-run: %v, want not found", err)
		}
	})
	t.Run("a field of another manager is a conflict that names it", func(t *testing.T) {
		o := configMap(namespace, "shared", "1")
		if _, err := c.Apply(ctx, o, kube.ApplyOptions{Manager: "anna"}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Apply(ctx, configMap(namespace, "shared", "2"), kube.ApplyOptions{})
		var conflict *kube.ConflictError
		if !errors.As(err, &conflict) {
			t.Fatalf("error %v, want a conflict", err)
		}
		if diff := cmp.Diff([]kube.Conflict{{Field: ".data.key", Manager: "anna"}}, conflict.Conflicts); diff != "" {
			t.Errorf("conflicts (-want +got):\n%s", diff)
		}
		if !kube.Refused(err) || kube.IsStale(err) || kube.Transient(err) {
			t.Errorf("a conflict is a refusal, and neither stale nor transient")
		}
		if _, err := c.Apply(ctx, configMap(namespace, "shared", "2"), kube.ApplyOptions{Force: true}); err != nil {
			t.Errorf("by force: %v", err)
		}
	})
	t.Run("a resourceVersion guards the write", func(t *testing.T) {
		first, err := c.Apply(ctx, configMap(namespace, "guarded", "1"), kube.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Apply(ctx, configMap(namespace, "guarded", "2"), kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		stale := configMap(namespace, "guarded", "3")
		stale.SetResourceVersion(first.GetResourceVersion())
		if _, err := c.Apply(ctx, stale, kube.ApplyOptions{}); !kube.IsStale(err) {
			t.Errorf("error %v, want it stale", err)
		}
	})
	t.Run("what is to be absent is made, and refused once it is there", func(t *testing.T) {
		for _, options := range []kube.ApplyOptions{{DryRun: true}, {}} {
			first := configMap(namespace, "absent", "1")
			first.SetResourceVersion(kube.Absent)
			if _, err := c.Apply(ctx, first, options); err != nil {
				t.Fatalf("with %+v: %v", options, err)
			}
		}
		for _, options := range []kube.ApplyOptions{{}, {Force: true}, {DryRun: true}} {
			second := configMap(namespace, "absent", "2")
			second.SetResourceVersion(kube.Absent)
			if _, err := c.Apply(ctx, second, options); !kube.IsStale(err) {
				t.Errorf("with %+v: error %v, want it stale", options, err)
			}
		}
	})
	t.Run("a brief answer names the versions", func(t *testing.T) {
		brief, err := c.Apply(ctx, configMap(namespace, "brief", "1"), kube.ApplyOptions{Brief: true})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := c.Apply(ctx, configMap(namespace, "brief", "1"), kube.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if kube.RefOf(brief) != kube.RefOf(whole) || brief.GetUID() != whole.GetUID() || brief.GetResourceVersion() != whole.GetResourceVersion() || brief.GetUID() == "" {
			t.Errorf("brief %v, whole %v", brief.Object, whole.Object)
		}
		if _, err := c.Apply(ctx, configMap(namespace, "Brief", "1"), kube.ApplyOptions{Brief: true, DryRun: true}); !kube.Refused(err) {
			t.Errorf("error %v, want it refused", err)
		}
	})
	t.Run("an unknown kind says how to mend it", func(t *testing.T) {
		o := configMap(namespace, "x", "1")
		o.SetAPIVersion("example.com/v1")
		_, err := c.Apply(ctx, o, kube.ApplyOptions{})
		if err == nil || !strings.Contains(err.Error(), "does not know the kind ConfigMap of example.com/v1") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the server's warnings are heard", func(t *testing.T) {
		var mu sync.Mutex
		var heard []string
		ctx := kube.WithWarnings(ctx, func(text string) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, text)
		})
		endpoints := configMap(namespace, "old", "1")
		endpoints.SetKind("Endpoints")
		delete(endpoints.Object, "data")
		if _, err := c.Apply(ctx, endpoints, kube.ApplyOptions{DryRun: true}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(heard) == 0 || !strings.Contains(heard[0], "deprecated") {
			t.Errorf("warnings %q, want that Endpoints are deprecated", heard)
		}
	})
}

func TestGetAllListAndDelete(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	ctx := t.Context()
	var refs []kube.Ref
	const wanted, there = 12, 9 // enough for a list
	for i := range wanted {
		o := configMap(namespace, fmt.Sprint("m", i), "1")
		if i < there {
			if _, err := c.Apply(ctx, o, kube.ApplyOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		refs = append(refs, kube.RefOf(o))
	}
	refs = append(refs, kube.Ref{APIVersion: "example.com/v1", Kind: "Widget", Namespace: namespace, Name: "w"})
	found, err := c.GetAll(ctx, refs)
	if err != nil || len(found) != there || found[refs[0].ID()] == nil {
		t.Errorf("GetAll: %d objects, %v; want %d", len(found), err, there)
	}
	one, err := c.Get(ctx, refs[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, found[refs[0].ID()]); diff != "" {
		t.Errorf("an object is not the same in a list (-alone +listed):\n%s", diff)
	}
	few, err := c.GetAll(ctx, refs[there-2:])
	if err != nil || len(few) != 2 {
		t.Errorf("GetAll of a few: %d objects, %v; want 2", len(few), err)
	}
	listed, err := c.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, namespace, "")
	if err != nil || len(listed) < 3 {
		t.Errorf("List: %d objects, %v; want at least 3", len(listed), err)
	}
	if err := c.Delete(ctx, refs[0], "another-uid"); err == nil {
		t.Error("deleted an object by another one's uid")
	}
	if err := c.Delete(ctx, refs[0], found[refs[0].ID()].GetUID()); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, refs[0], ""); err != nil {
		t.Errorf("delete what is gone: %v, want no error", err)
	}
}

func TestFollowSeesChangesAndSurvivesNothingHappening(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	changed := make(chan struct{}, 100)
	ref := kube.RefOf(configMap(namespace, "followed", ""))
	f, err := c.Follow(t.Context(), ref, func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	value := func() string {
		items := f.Items()
		if len(items) == 0 {
			return ""
		}
		v, _, _ := unstructured.NestedString(items[0].Object, "data", "key")
		return v
	}
	for _, want := range []string{"1", "2"} {
		if _, err := c.Apply(t.Context(), configMap(namespace, "followed", want), kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		for value() != want {
			select {
			case <-changed:
			case <-time.After(30 * time.Second):
				t.Fatalf("value %q, want %q; %v", value(), want, f.Err())
			}
		}
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	ctx := t.Context()
	claim := func(holder, key string) kube.LeaseClaim {
		return kube.LeaseClaim{Namespace: namespace, Name: "app", Holder: holder, Key: key, Note: "deploying", Duration: 15 * time.Second}
	}
	anna, err := c.AcquireLease(ctx, claim("anna", "k1"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AcquireLease(ctx, claim("bert", "k2"), "")
	var held *kube.HeldError
	if !errors.As(err, &held) || held.Holder != "anna" || held.Note != "deploying" || held.Duration != 15*time.Second {
		t.Fatalf("second holder: %v, want anna's", err)
	}
	if err := anna.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AcquireLease(ctx, claim("bert", "k2"), held.Renewed); err == nil {
		t.Fatal("a lease that has been renewed since was taken as expired")
	}
	if _, err := c.AcquireLease(ctx, claim("carl", "k1"), ""); err != nil {
		t.Fatalf("the same key: %v, want it taken over", err)
	}
	if err := anna.Renew(ctx); !errors.As(err, &held) || held.Holder != "carl" {
		t.Errorf("renew of a lost lease: %v, want carl named", err)
	}
	if err := anna.Release(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.AcquireLease(ctx, claim("bert", "k2"), ""); !errors.As(err, &held) || held.Holder != "carl" {
		t.Errorf("after the release by who had lost it: %v, want it carl's still", err)
	}
	carl, err := c.AcquireLease(ctx, claim("carl", "k1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := carl.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AcquireLease(ctx, claim("bert", "k2"), ""); err != nil {
		t.Errorf("a lease that was given back: %v", err)
	}
}

func TestServiceURLFallsBackToTheProxyOfTheAPIServer(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	apply(t, c, namespace, `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`)
	route, err := c.ServiceURL(t.Context(), namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if want := c.Server + "/api/v1/namespaces/" + namespace + "/services/web:80/proxy"; route.URL != want || route.Public || route.Authorize == nil {
		t.Errorf("route %+v, want %s", route, want)
	}
	transport, err := route.Authorize(&http.Transport{TLSClientConfig: route.TLS})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, route.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable { // No endpoint: the credentials were good.
		t.Errorf("status %s, want 503", response.Status)
	}
}

func apply(t testing.TB, c *kube.Cluster, namespace, document string) {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	o.SetNamespace(namespace)
	if _, err := c.Apply(t.Context(), o, kube.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig writes one with a context named staging.
func kubeconfig(t testing.TB, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: secret-token}}]
contexts: [{name: staging, context: {cluster: c, user: u, namespace: shop}}]
current-context: staging
`, server)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConnect(t *testing.T) {
	t.Parallel()
	path := kubeconfig(t, "https://127.0.0.1:1")
	t.Run("takes the current context", func(t *testing.T) {
		c, err := kube.Connect(path, "")
		if err != nil || c.Context != "staging" || c.Namespace != "shop" || c.Server != "https://127.0.0.1:1" {
			t.Errorf("%+v, %v", c, err)
		}
	})
	t.Run("names the contexts there are", func(t *testing.T) {
		_, err := kube.Connect(path, "production")
		if err == nil || !strings.Contains(err.Error(), `has no context "production": it has staging`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("names a file that is not there", func(t *testing.T) {
		_, err := kube.Connect(path+"x", "")
		if err == nil || !strings.Contains(err.Error(), path+"x") {
			t.Errorf("error %v", err)
		}
	})
}

func TestPingSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	refusing := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(refusing.Close)
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(other.Close)
	cases := map[string]struct{ server, want string }{
		"a port that nobody listens on":        {"https://127.0.0.1:1", "connection refused"},
		"a server that does not answer":        {"https://" + silent.Addr().String(), "no answer within 5s"},
		"a server that refuses the token":      {refusing.URL, "refuses the credentials"},
		"a server that is no API server":       {other.URL, "did not answer with a version"},
		"a server whose name does not resolve": {"https://no-such-host.invalid", "no such host"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kube.Connect(kubeconfig(t, c.server), "")
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = cluster.Ping(context.Background())
			if _, unreachable := errors.AsType[*kube.UnreachableError](err); !unreachable {
				t.Fatalf("error %v, want it unreachable", err)
			}
			for _, want := range []string{c.want, `"staging"`, c.server} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Error("the token is in the error")
			}
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
