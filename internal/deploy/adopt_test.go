package deploy

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// kubectlApplies runs the real kubectl apply, without --server-side.
func (b *bundle) kubectlApplies(t *testing.T, document string) {
	t.Helper()
	local, err := localkube.New(localkube.Config{Name: b.cluster.Context})
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := local.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), kubectl, "--namespace", b.namespace, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(document)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

const theirs = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {team: a}}
data: {greeting: hello, gone: "yes"}
`

func TestAFirstDeploymentTakesOverWhatKubectlHasApplied(t *testing.T) {
	b := setup(t)
	b.ensureNamespace(t)
	b.kubectlApplies(t, theirs)
	b.write(t, strings.Replace(theirs, `greeting: hello, gone: "yes"`, "greeting: bonjour", 1), extra)
	preview, err := New(b.config).Preview(t.Context(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := differences(preview.Objects[0]), `-   gone: "yes",-   greeting: hello,+   greeting: bonjour`; !strings.HasPrefix(got, want) {
		t.Errorf("preview %q, want %q", got, want)
	}
	if got := b.data(t, "settings")["greeting"]; got != "hello" {
		t.Errorf("the preview has made it %q", got)
	}
	d := b.deployWell(t, b.request())
	if d.Revision != 2 || d.Previous != 1 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(map[string]string{"greeting": "bonjour"}, b.data(t, "settings")); diff != "" {
		t.Errorf("what the manifest has no more stays (-want +got)\n%s", diff)
	}

	d, err = New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, Log: b.log})
	if err != nil || d.Outcome != pipeline.Succeeded || d.Revision != 3 {
		t.Fatalf("%+v, %v", d, err)
	}
	if diff := cmp.Diff(map[string]string{"greeting": "hello", "gone": "yes"}, b.data(t, "settings")); diff != "" {
		t.Errorf("what was there before is not back (-want +got)\n%s", diff)
	}
	b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))
}

func TestAFirstDeploymentThatFailsBringsBackWhatWasThere(t *testing.T) {
	b := setup(t)
	b.ensureNamespace(t)
	b.kubectlApplies(t, theirs)
	b.write(t, strings.Replace(theirs, "hello", "bonjour", 1), extra, failingJob)
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !d.Reverted || d.Previous != 1 {
		t.Fatalf("%+v", d)
	}
	if diff := cmp.Diff(map[string]string{"greeting": "hello", "gone": "yes"}, b.data(t, "settings")); diff != "" {
		t.Errorf("what was there before is not back (-want +got)\n%s", diff)
	}
	b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))

	// It is still somebody else's: a later deployment without it leaves it.
	b.write(t, extra)
	b.deployWell(t, b.request())
	b.data(t, "settings")
}

const failingJob = `apiVersion: batch/v1
kind: Job
metadata: {name: never}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 1
  template:
    spec: {restartPolicy: Never, containers: [{name: never, image: "registry.invalid/never:1"}]}
`

func TestWhatWasThereIsAManifestAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, live, want string }{
		{"a Service without its address", `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, uid: "1", resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z", annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}}
spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ports: [{port: 80, nodePort: 30080}], selector: {app: web}}
status: {loadBalancer: {}}
`, `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80, nodePort: 30080}], selector: {app: web}}
`},
		{"a Service that has none keeps that", `
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {mine: "1"}}
spec: {clusterIP: None, clusterIPs: [None]}
`, `
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {mine: "1"}}
spec: {clusterIP: None, clusterIPs: [None]}
`},
		{"a Deployment without its controller's count", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 3, annotations: {deployment.kubernetes.io/revision: "4"}}
spec: {replicas: 3}
status: {replicas: 3}
`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var live, want unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(c.live), &live.Object); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(c.want), &want.Object); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Object, asItWas(&live).Object); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func (b *bundle) ensureNamespace(t *testing.T) {
	t.Helper()
	if _, err := b.cluster.EnsureNamespace(t.Context(), b.namespace); err != nil {
		t.Fatal(err)
	}
}

// TestBlueGreenAdoptsADeploymentThatServes takes the requests over from pods
// that somebody else has brought, and gives them back.
func TestBlueGreenAdoptsADeploymentThatServes(t *testing.T) {
	b := setupMeasured(t)
	b.ensureNamespace(t)
	image := webImage(t)
	b.kubectlApplies(t, web(image, 2, "VERSION=1", "MODE=graceful")+ready)
	b.kubectlApplies(t, webService)
	b.serves(t, "web")
	b.write(t, web(image, 2, "VERSION=2", "MODE=graceful")+ready, webService)
	request := b.measured(plan.BlueGreen)
	d := b.deployWell(t, request)
	if d.Revision != 2 || d.Previous != 1 || d.Verdict == nil || d.Verdict.Lost > 0 {
		t.Errorf("%+v, verdict %s", d, d.Verdict)
	}
	b.noDrift(t)
	if p, err := New(b.config).Preview(t.Context(), request); err != nil || len(p.Objects) > 0 {
		t.Errorf("the same again would change %+v, %v", p.Objects, err)
	}
	d, err := New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, Log: b.log})
	if err != nil || d.Outcome != pipeline.Succeeded || d.Verdict == nil || d.Verdict.Lost > 0 {
		t.Fatalf("%+v, verdict %s, %v", d, d.Verdict, err)
	}
	b.noDrift(t)
	// Their Deployment selects the pods of sets as well, so it comes as a set.
	service, err := b.cluster.Get(t.Context(), b.ref("v1", "Service", "web"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := b.cluster.Get(t.Context(), b.ref("apps/v1", "Deployment", "web-"+plan.SelectorOf(service)[plan.SetLabel]))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(live.Object["spec"]); !strings.Contains(text, "name:VERSION value:1") {
		t.Errorf("theirs is not as it was: %s", text)
	}
	if ready, _, _ := unstructured.NestedInt64(live.Object, "status", "readyReplicas"); ready != 2 {
		t.Errorf("%d pods of theirs are ready", ready)
	}
}

func (b *bundle) noDrift(t *testing.T) {
	t.Helper()
	if drift, err := New(b.config).Drift(t.Context(), b.namespace, "web"); err != nil || len(drift.Objects) > 0 {
		t.Errorf("drift of what nobody has touched: %+v, %v", drift, err)
	}
}

// serves waits until a Service has a ready endpoint.
func (b *bundle) serves(t *testing.T, service string) {
	t.Helper()
	waittest.Until(t, "Service "+service+" has a ready endpoint", func() bool {
		slices, err := b.cluster.EndpointSlices(t.Context(), b.namespace, service)
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range slices {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					return true
				}
			}
		}
		return false
	})
}
