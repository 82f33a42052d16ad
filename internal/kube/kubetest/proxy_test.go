package kubetest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

const patience = time.Minute

func configMap(namespace, value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": namespace, "name": "settings"},
		"data":     map[string]any{"greeting": value},
	}}
}

// TestFaultsBefallRequests sends the same apply through each fault. The client
// gets over all but a conflict, which is its caller's to judge.
func TestFaultsBefallRequests(t *testing.T) {
	t.Parallel()
	direct := kubetest.Connect(t)
	for _, c := range []struct {
		fault kubetest.Fault
		hits  int // after which the apply has succeeded
		slow  time.Duration
	}{
		{fault: kubetest.Busy, hits: 2, slow: 2 * time.Second},
		{fault: kubetest.Broken, hits: 2},
		{fault: kubetest.Lost, hits: 2},
		{fault: kubetest.Slow, hits: 2, slow: 500 * time.Millisecond},
		{fault: kubetest.Away, hits: 1, slow: 500 * time.Millisecond},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			namespace := kubetest.Namespace(t, direct)
			rule := kubetest.Rule{Fault: c.fault, Verb: "patch", Resource: "configmaps", Count: c.hits}
			if c.fault == kubetest.Slow || c.fault == kubetest.Away {
				rule.For = c.slow
			}
			p := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{rule}})
			began := time.Now()
			for _, value := range []string{"hello", "bonjour"} {
				if _, err := p.Cluster.Apply(t.Context(), configMap(namespace, value), kube.ApplyOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took < c.slow {
				t.Errorf("took %s, but the fault alone takes %s", took, c.slow)
			}
			if hits := p.Hits(); len(hits) != c.hits || hits[0] != (kubetest.Hit{Fault: c.fault, Verb: "patch", Resource: "configmaps", Name: "settings"}) {
				t.Errorf("hits %+v, want %d", hits, c.hits)
			}
			live, err := direct.Get(t.Context(), kube.RefOf(configMap(namespace, "")))
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := unstructured.NestedString(live.Object, "data", "greeting"); got != "bonjour" {
				t.Errorf("greeting %q, want bonjour", got)
			}
		})
	}
}

func TestAConflictIsOne(t *testing.T) {
	t.Parallel()
	namespace := kubetest.Namespace(t, kubetest.Connect(t))
	p := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Conflict, Resource: "configmaps", Count: -1}}})
	object := configMap(namespace, "hello")
	object.SetResourceVersion("1")
	if _, err := p.Cluster.Apply(t.Context(), object, kube.ApplyOptions{}); !kube.IsStale(err) {
		t.Errorf("error %v, want a stale object", err)
	}
	p.Arm(kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Conflict, Resource: "configmaps", Count: 3}}})
	if _, err := p.Cluster.Apply(t.Context(), configMap(namespace, "hello"), kube.ApplyOptions{}); err != nil {
		t.Errorf("an apply that is not guarded meets three conflicts: %v", err)
	}
}

func TestAWatchIsDroppedAndMended(t *testing.T) {
	t.Parallel()
	direct := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, direct)
	p := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{
		{Fault: kubetest.Dropped, Resource: "configmaps", Count: 3, For: 50 * time.Millisecond},
	}})
	changed := make(chan struct{}, 1)
	follower, err := p.Cluster.Follow(t.Context(), kube.RefOf(configMap(namespace, "")), func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := func(value string) bool {
		for _, item := range follower.Items() {
			if got, _, _ := unstructured.NestedString(item.Object, "data", "greeting"); got == value {
				return true
			}
		}
		return false
	}
	limit := time.After(patience)
	for n := 0; n < 20 || len(p.Hits()) < 3; n++ {
		value := fmt.Sprint("hello", n)
		if _, err := direct.Apply(t.Context(), configMap(namespace, value), kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		for !seen(value) {
			select {
			case <-changed:
			case <-limit:
				t.Fatalf("%s was not seen, %d watches were dropped; %v", value, len(p.Hits()), follower.Err())
			}
		}
	}
}

func TestAServerThatIsAwayRefusesConnections(t *testing.T) {
	t.Parallel()
	p := kubetest.Faulty(t, "", kubetest.Faults{Rules: []kubetest.Rule{{Fault: kubetest.Away, Resource: "nodes", For: time.Hour}}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := p.Cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Node", Name: "node1"})
	var unreachable *kube.UnreachableError
	if _, ping := p.Cluster.Ping(t.Context()); err == nil || !errors.As(ping, &unreachable) {
		t.Errorf("get: %v, ping: %v; want both to fail", err, ping)
	}
}

func TestOnlyWhoHasTheKubeconfigGetsThrough(t *testing.T) {
	t.Parallel()
	p := kubetest.Faulty(t, "", kubetest.Faults{})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(p.Cluster.Server + "/version")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token the answer is %s, want 401", response.Status)
	}
}
