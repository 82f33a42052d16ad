package pod_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// TestAnEvictedBuildBeginsAgain asks the API server to evict the Pod, as kubectl
// drain does.
func TestAnEvictedBuildBeginsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	of := buildtest.New(t, "echo waiting; while [ ! -e go ]; do sleep 0.05; done; echo done")
	of.Override = map[string]string{"TOWLINE_TEST_BUILD": of.Dir}
	ended := begin(t, b.backend(t), of)
	waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
	b.evict(t)
	waittest.Until(t, "the build is waiting once more", logHas(t, of, "waiting", 2))
	buildtest.Touch(t, of, "go")
	if _, err := ended(); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(buildtest.Lines(t, of), "\n")
	if !strings.Contains(log, "EvictionByEvictionAPI") || !strings.Contains(log, "the build begins again") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	b.none(t)
}

// evict asks for the eviction of the one Pod of a build.
func (b *bench) evict(t *testing.T) {
	t.Helper()
	pods, err := b.cluster.Pods(t.Context(), b.namespace, "towline.dev/build")
	if err != nil || len(pods) != 1 {
		t.Fatalf("there are %d Pods: %v", len(pods), err)
	}
	local, err := localkube.New(localkube.Config{Name: b.cluster.Context})
	if err != nil {
		t.Fatal(err)
	}
	name := pods[0].Name
	eviction := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": %q}}`, name, b.namespace)
	kubectl(t, local, eviction, "create", "--raw", "/api/v1/namespaces/"+b.namespace+"/pods/"+name+"/eviction", "-f", "-")
}

// TestABuildThatFillsItsNodeIsAFault has the kubelet evict both Pods of a build
// that writes more than the namespace allows.
func TestABuildThatFillsItsNodeIsAFault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.make(t, `{apiVersion: v1, kind: LimitRange, metadata: {name: small, namespace: `+b.namespace+`},
		spec: {limits: [{type: Container, default: {ephemeral-storage: 20Mi}, defaultRequest: {ephemeral-storage: 1Mi}}]}}`)
	of := buildtest.New(t, "head -c 60000000 /dev/zero > big; sleep 1000")
	of.Pod = &pipeline.Pod{}
	_, err := b.backend(t).Run(t.Context(), of)
	if err == nil || !strings.Contains(err.Error(), "it was lost 2 times") || !strings.Contains(err.Error(), "ephemeral") {
		t.Errorf("got %v", err)
	}
	b.none(t)
}
