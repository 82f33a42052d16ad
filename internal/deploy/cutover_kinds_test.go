package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// front is a Deployment of that name whose pods have a label of their own and
// one that they share with the others.
func front(name, image string, replicas int, env ...string) string {
	text := strings.Replace(web(image, replicas, env...), "metadata: {name: web}", "metadata: {name: "+name+"}", 1)
	return strings.ReplaceAll(text, "{app: web}", "{app: "+name+", tier: front}") + ready
}

// serviceOf is a Service of that name with that selector.
func serviceOf(name, selector string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {%s}, ports: [{port: 80, targetPort: 8080}]}\n", name, selector)
}

// selected is what a live Service selects.
func (b *bundle) selected(t *testing.T, service string) map[string]string {
	t.Helper()
	live, err := b.cluster.Get(t.Context(), b.ref("v1", "Service", service))
	if err != nil {
		t.Fatal(err)
	}
	return plan.SelectorOf(live)
}

// wantSets compares the replicas of Deployments, in ascending order.
func wantSets(t *testing.T, got map[string]int, want ...int) {
	t.Helper()
	if diff := cmp.Diff(want, slices.Sorted(maps.Values(got))); diff != "" {
		t.Errorf("replicas of %v (-want +got):\n%s", got, diff)
	}
}

func TestSeveralServicesMoveTogether(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	worker := worker("Deployment", "worker", image, "naive")
	t.Run("each Deployment behind its own Services is a set of its own", func(t *testing.T) {
		b := setup(t)
		request := b.unmeasured(plan.BlueGreen)
		services := []string{serviceOf("web", "app: web"), serviceOf("api", "app: api"), serviceOf("admin", "app: api"), worker}
		b.write(t, append(services, front("web", image, 1, "VERSION=1"), front("api", image, 1, "VERSION=1"))...)
		b.deployWell(t, request)
		api, web := b.selected(t, "api"), b.selected(t, "web")
		if admin := b.selected(t, "admin"); !maps.Equal(admin, api) || api[plan.SetLabel] == web[plan.SetLabel] {
			t.Errorf("selectors web %v, api %v, admin %v: want the latter two the same", web, api, admin)
		}
		b.write(t, append(services, front("web", image, 1, "VERSION=2"), front("api", image, 1, "VERSION=1"))...)
		b.deployWell(t, request)
		wantSets(t, b.sets(t), 0, 1, 1, 1) // the old web; the new one, api and worker
		if got := b.selected(t, "api"); !maps.Equal(got, api) {
			t.Errorf("Service api selects %v, want %v as before: nothing in it has changed", got, api)
		}
		if got := b.selected(t, "web"); got[plan.SetLabel] == web[plan.SetLabel] {
			t.Error("Service web has not moved")
		}
	})
	t.Run("Deployments behind one Service move at once", func(t *testing.T) {
		b := setup(t)
		request := b.unmeasured(plan.BlueGreen)
		both := serviceOf("front", "tier: front")
		b.write(t, both, front("web", image, 1, "VERSION=1"), front("api", image, 1, "VERSION=1"))
		b.deployWell(t, request)
		b.write(t, both, front("web", image, 1, "VERSION=2"), front("api", image, 1, "VERSION=1"))
		b.deployWell(t, request)
		sets := b.sets(t)
		wantSets(t, sets, 0, 0, 1, 1)
		mark := b.selected(t, "front")[plan.SetLabel]
		if sets["web-"+mark] != 1 || sets["api-"+mark] != 1 {
			t.Errorf("Deployments %v, want both that Service front selects (%s) whole", sets, mark)
		}
	})
}

func TestAStatefulSetBesideIsRefused(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	for _, strategy := range []string{plan.Immutable, plan.BlueGreen} {
		t.Run(strategy, func(t *testing.T) {
			b := setup(t)
			b.write(t, web(image, 1)+ready, webService, worker("StatefulSet", "db", image, "naive"))
			d := b.deploy(t, b.unmeasured(strategy))
			if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "StatefulSet/db") || !strings.Contains(d.Message, "Use strategy rolling") {
				t.Errorf("%s: %s", d.Outcome, d.Message)
			}
			if sets := b.sets(t); len(sets) != 0 {
				t.Errorf("Deployments %v were made all the same", sets)
			}
		})
	}
}

// kedaDefinition is as much of KEDA as a deployer looks at.
const kedaDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scaledobjects.keda.sh}
spec:
  group: keda.sh
  scope: Namespaced
  names: {kind: ScaledObject, plural: scaledobjects, singular: scaledobject}
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

func TestAnAutoscalerIsPointedAtTheNewSetOnceItServes(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	cases := map[string]struct {
		ref    kube.Ref
		scaler string
	}{
		"HorizontalPodAutoscaler": {
			kube.Ref{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Name: "web"},
			"apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {minReplicas: 1, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
		},
		"ScaledObject of KEDA": {
			kube.Ref{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "web"},
			"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web}\nspec: {minReplicaCount: 1, maxReplicaCount: 3, scaleTargetRef: {name: web}, triggers: [{type: cron}]}\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if c.ref.Kind == "ScaledObject" {
				define(t, b.cluster, c.ref.GVK(), kedaDefinition)
			}
			c.ref.Namespace = b.namespace
			target := func() string {
				live, err := b.cluster.Get(t.Context(), c.ref)
				if err != nil {
					t.Fatal(err)
				}
				name, _, _ := unstructured.NestedString(live.Object, "spec", "scaleTargetRef", "name")
				return name
			}
			for _, strategy := range []string{plan.BlueGreen, plan.Immutable} {
				request := b.unmeasured(strategy)
				b.write(t, web(image, 1, "VERSION=1")+ready, webService, c.scaler)
				b.deployWell(t, request)
				first := target()
				// What the autoscaler does when there is more to do.
				if err := b.cluster.Scale(t.Context(), b.ref("apps/v1", "Deployment", first), 2, kube.Guard{}); err != nil {
					t.Fatal(err)
				}
				b.write(t, web(image, 1, "VERSION=2-"+strategy)+ready, webService, c.scaler)
				b.deployWell(t, request)
				second := target()
				if sets := b.sets(t); second == first || sets[second] != 2 || sets[first] != 0 {
					t.Errorf("%s: %v, the autoscaler scales %s and scaled %s: want the new set as large as the old one was", strategy, sets, second, first)
				}
				d, err := New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, Log: b.log})
				if err != nil || d.Outcome != pipeline.Succeeded {
					t.Fatalf("rollback: %s, %v", d.Message, err)
				}
				if sets := b.sets(t); target() != first || sets[first] != 2 || sets[second] != 0 {
					t.Errorf("%s: after the rollback %v, the autoscaler scales %s: want %s as large as %s was", strategy, sets, target(), first, second)
				}
			}
		})
	}
}

func TestReplicasAreLoweredOnlyAfterTheCutOver(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.unmeasured(plan.BlueGreen)
	b.write(t, web(image, 2, "VERSION=1")+ready, webService)
	b.deployWell(t, request)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService)
	b.deployWell(t, request)
	wantSets(t, b.sets(t), 0, 1)
	_, done, _ := strings.Cut(b.log.String(), "journal revision 2")
	for _, want := range []string{"(create): 2 replicas", "switch Service web: promote", "drain Deployment web-", "apply Deployment web-"} {
		var found bool
		if _, done, found = strings.Cut(done, want); !found {
			t.Errorf("%q is not in its place in the runbook", want)
		}
	}
}

func TestAChangeOfConfigurationIsANewSet(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.unmeasured(plan.BlueGreen)
	deploy := func(greeting string) (set, config string) {
		t.Helper()
		b.write(t, web(image, 1)+"        envFrom: [{configMapRef: {name: settings}}]\n"+ready, webService, fmt.Sprintf(settings, greeting))
		b.deployWell(t, request)
		return b.serving(t)
	}
	first, config := deploy("hello")
	second, changed := deploy("goodbye")
	if first == second || config == changed {
		t.Fatalf("set %s with %s, then %s with %s: want new ones", first, config, second, changed)
	}
	d, err := New(b.config).Rollback(t.Context(), RollbackRequest{App: "web", Namespace: b.namespace, Log: b.log})
	if err != nil || d.Outcome != pipeline.Succeeded {
		t.Fatalf("rollback: %s, %v", d.Message, err)
	}
	set, restored := b.serving(t)
	if set != first || restored != config || !strings.Contains(fmt.Sprint(b.data(t, restored)), "hello") {
		t.Errorf("after the rollback set %s with %s %v, want %s with %s", set, restored, b.data(t, restored), first, config)
	}
	wantSets(t, b.sets(t), 0, 1)
}

// serving is the set behind Service web, and the ConfigMap that its pods read.
func (b *bundle) serving(t *testing.T) (set, config string) {
	t.Helper()
	set = "web-" + b.selected(t, "web")[plan.SetLabel]
	pods, err := b.cluster.Pods(t.Context(), b.namespace, plan.SelectorText(b.selected(t, "web")))
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods of set %s, error %v", len(pods), set, err)
	}
	return set, pods[0].Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name
}

func TestTheStrategyMayChangeWithEachRevision(t *testing.T) {
	b := setupMeasured(t)
	image := webImage(t)
	for i, strategy := range []string{plan.Rolling, plan.BlueGreen, plan.Rolling, plan.Immutable, plan.BlueGreen} {
		b.write(t, web(image, 2, fmt.Sprint("VERSION=", i), "MODE=graceful")+ready, webService)
		request := b.measured(strategy)
		d := b.deployWell(t, request)
		t.Logf("%s: %s in %.1f s", strategy, d.Verdict, d.Seconds)
		b.wantNoLoss(t, d)
		sets := b.sets(t)
		switch {
		case strategy == plan.Rolling && (len(sets) != 1 || sets["web"] != 2):
			t.Errorf("after %s: Deployments %v, want web alone", strategy, sets)
		case strategy != plan.Rolling:
			wantSets(t, sets, 0, 2)
		}
	}
}

func TestAnotherSelectorUnderRollingComesBesideTheOldOne(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.unmeasured(plan.Rolling)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	b.deployWell(t, request)
	request.Propagation = "1s"
	renamed := func(version string) {
		t.Helper()
		b.write(t, strings.ReplaceAll(web(image, 1, "VERSION="+version)+ready, "app: web", "app: shop"), strings.Replace(webService, "app: web", "app: shop", 1))
		d := b.deployWell(t, request)
		t.Logf("revision %d was carried out as %s: %v", d.Revision, d.Strategy, b.sets(t))
	}
	renamed("2")
	wantSets(t, b.sets(t), 0, 1)
	if got := b.selected(t, "web"); got["app"] != "shop" || got[plan.SetLabel] == "" {
		t.Errorf("Service web selects %v", got)
	}
	if !strings.Contains(b.log.String(), "cannot be changed in place") {
		t.Error("the runbook does not say why a set of its own was made")
	}
	renamed("3")
	wantSets(t, b.sets(t), 0, 1)
	renamed("4") // Nothing has the old selector any more.
	if sets := b.sets(t); len(sets) != 1 || sets["web"] != 1 {
		t.Errorf("Deployments %v, want web alone", sets)
	}
}

func TestDataAndSharedObjectsAreKept(t *testing.T) {
	b := setup(t)
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n"
	config := func(name string) string { return strings.Replace(extra, "extra", name, 1) }
	b.write(t, config("mine"), config("owned"), config("shared"), claim)
	b.deployWell(t, b.request())
	owner, err := b.cluster.Get(t.Context(), b.ref("v1", "PersistentVolumeClaim", "data"))
	if err != nil {
		t.Fatal(err)
	}
	b.applyAs(t, "anna", fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned, ownerReferences: [{apiVersion: v1, kind: PersistentVolumeClaim, name: data, uid: %s}]}\n", owner.GetUID()))
	b.applyAs(t, "anna", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared, labels: {towline.dev/app: shop}}\n")
	b.write(t, config("other"))
	b.deployWell(t, b.request())
	b.wantGone(t, b.ref("v1", "ConfigMap", "mine"))
	for _, kept := range []kube.Ref{b.ref("v1", "ConfigMap", "owned"), b.ref("v1", "ConfigMap", "shared"), b.ref("v1", "PersistentVolumeClaim", "data")} {
		if _, err := b.cluster.Get(t.Context(), kept); err != nil {
			t.Errorf("%s: %v, want it kept", kept, err)
		}
		if !strings.Contains(b.log.String(), "prune "+kept.String()+": kept, ") {
			t.Errorf("the runbook does not say that %s is kept", kept)
		}
	}
	request := b.request()
	request.Prune = []string{"PersistentVolumeClaim"}
	b.deployWell(t, request)
	waittest.Until(t, "the claim has gone", func() bool {
		_, err := b.cluster.Get(t.Context(), b.ref("v1", "PersistentVolumeClaim", "data"))
		return kube.IsNotFound(err)
	})
}
