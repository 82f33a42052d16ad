package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// plural is how the tests' kinds are served.
var plural = map[string]string{
	"Deployment": "deployments", "Service": "services", "ConfigMap": "configmaps", "Namespace": "namespaces",
	"StatefulSet": "statefulsets", "PersistentVolumeClaim": "persistentvolumeclaims", "CustomResourceDefinition": "customresourcedefinitions", "Widget": "widgets",
}

// parse reads an object in YAML's short form.
func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	return o
}

// paths are the commands of the tests: short.
type paths map[string]kube.Resource

func (p paths) path(ref kube.Ref) string { return p[ref.ID()].Path(ref.Namespace, ref.Name) }

func (p paths) ApplyCommand(ref kube.Ref, _ kube.ApplyOptions, _ bool) string {
	return "PATCH " + p.path(ref) + "?fieldManager=towline"
}

func (p paths) CreateCommand(ref kube.Ref) string              { return "POST " + p.path(ref) }
func (p paths) ScaleCommand(ref kube.Ref, _ int) string        { return "PATCH " + p.path(ref) + "/scale" }
func (p paths) DeleteCommand(ref kube.Ref, _ types.UID) string { return "DELETE " + p.path(ref) }

// situation is one of application web in namespace shop.
func situation(t testing.TB, revision int, desired, live, owned []string) Situation {
	t.Helper()
	resources := map[string]kube.Resource{}
	s := Situation{App: "web", Namespace: "shop", Revision: revision, Strategy: Rolling,
		Live: map[string]*unstructured.Unstructured{}, Resources: resources, Commands: paths(resources), Scaled: map[string]string{}, Merged: map[string]*unstructured.Unstructured{}}
	know := func(o *unstructured.Unstructured) {
		ref := kube.RefOf(o)
		s.Resources[ref.ID()] = kube.Resource{GVR: schema.GroupVersionResource{Group: ref.GVK().Group, Version: ref.GVK().Version, Resource: plural[ref.Kind]}, Kind: ref.Kind, Namespaced: ref.Namespace != ""}
	}
	for _, text := range desired {
		o := parse(t, text)
		know(o)
		s.Desired = append(s.Desired, manifest.Object{Unstructured: o, Source: manifest.Source{File: "k8s/web.yaml", Line: 1}})
	}
	for _, text := range live {
		o := parse(t, text)
		know(o)
		s.Live[kube.RefOf(o).ID()] = o
	}
	for _, text := range owned {
		o := parse(t, text)
		know(o)
		s.Owned = append(s.Owned, kube.RefOf(o))
	}
	return s
}

const (
	shopDeployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3}}`
	shopService    = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}`
	shopSettings   = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {a: "1"}}`
	shopOther      = `{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: shop}}`
	shopClaim      = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop}}`
	widgetKind     = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}}`
	widget         = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}}`
)

// mine is an object as it is in the cluster after an earlier revision.
func mine(text string) string {
	return strings.Replace(text, "metadata: {", `metadata: {uid: u1, managedFields: [{manager: towline, operation: Apply}], labels: {towline.dev/app: web, applyset.kubernetes.io/part-of: `+ApplySetID("web", "shop")+`}, `, 1)
}

func TestPlanRolling(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name                 string
		desired, live, owned []string
		change               func(*Situation)
		want                 []string
	}{
		{
			name: "a first deployment creates everything and waits for the workload", desired: []string{shopSettings, shopService, shopDeployment},
			change: func(s *Situation) { s.Probe, s.Rate = "Service web", 100 },
			want: []string{
				"0 probe: Service web, 100 requests/s",
				"1 apply ConfigMap settings (create)   PATCH /api/v1/namespaces/shop/configmaps/settings?fieldManager=towline",
				"2 apply Service web (create)   PATCH /api/v1/namespaces/shop/services/web?fieldManager=towline",
				"3 apply Deployment web (create)   PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=towline",
				"4 wait Deployment web: new pods ready and serving, old ones gone   GET /apis/apps/v1/namespaces/shop/deployments/web (watch)",
				"0 verdict: stop sending requests and count the lost ones",
			},
		},
		{
			name: "without a probe there is no verdict", desired: []string{shopSettings},
			want: []string{"1 apply ConfigMap settings (create)   PATCH /api/v1/namespaces/shop/configmaps/settings?fieldManager=towline"},
		},
		{
			name: "objects of one kind are applied at the same time", desired: []string{shopSettings, shopOther, shopService},
			want: []string{
				"1 apply ConfigMap settings (create)   PATCH /api/v1/namespaces/shop/configmaps/settings?fieldManager=towline",
				"1 apply ConfigMap other (create)   PATCH /api/v1/namespaces/shop/configmaps/other?fieldManager=towline",
				"2 apply Service web (create)   PATCH /api/v1/namespaces/shop/services/web?fieldManager=towline",
			},
		},
		{
			name: "what the dry-run would not change is unchanged", desired: []string{shopSettings}, live: []string{mine(shopSettings)},
			change: func(s *Situation) { s.Merged = s.Live },
			want:   []string{"1 apply ConfigMap settings (unchanged)   PATCH /api/v1/namespaces/shop/configmaps/settings?fieldManager=towline"},
		},
		{
			name: "what is there but not ours yet is an update", desired: []string{shopSettings}, live: []string{shopSettings},
			change: func(s *Situation) { s.Merged = s.Live },
			want:   []string{"1 apply ConfigMap settings (update)   PATCH /api/v1/namespaces/shop/configmaps/settings?fieldManager=towline"},
		},
		{
			name: "what is no longer desired goes last, in reverse", desired: []string{shopService}, live: []string{mine(shopService), mine(shopSettings), mine(shopOther)},
			owned: []string{shopSettings, shopOther, shopService},
			want: []string{
				"1 apply Service web (update)   PATCH /api/v1/namespaces/shop/services/web?fieldManager=towline",
				"0 prune ConfigMap other: this revision has it no more   DELETE /api/v1/namespaces/shop/configmaps/other",
				"0 prune ConfigMap settings: this revision has it no more   DELETE /api/v1/namespaces/shop/configmaps/settings",
			},
		},
		{
			name: "what is gone already, or is somebody else's by now, is not pruned", live: []string{shopOther}, owned: []string{shopSettings, shopOther},
		},
		{
			name: "a claim goes when it is asked for, a definition that is not stays", live: []string{mine(shopClaim), mine(widgetKind)}, owned: []string{shopClaim, widgetKind},
			change: func(s *Situation) { s.Knobs.Prune = []string{"PersistentVolumeClaim"} },
			want: []string{
				"0 prune CustomResourceDefinition widgets.example.com: kept, for all objects of its kind would go as well",
				"0 prune PersistentVolumeClaim data: this revision has it no more   DELETE /api/v1/namespaces/shop/persistentvolumeclaims/data",
			},
		},
		{
			name:   "what others have a part in stays, whatever is asked for",
			live:   []string{strings.Replace(mine(shopClaim), "towline.dev/app: web", "towline.dev/app: till", 1), strings.Replace(mine(shopSettings), "metadata: {", "metadata: {ownerReferences: [{kind: Widget, name: w}], ", 1)},
			owned:  []string{shopClaim, shopSettings},
			change: func(s *Situation) { s.Knobs.Prune = []string{"PersistentVolumeClaim"} },
			want: []string{
				"0 prune ConfigMap settings: kept, for it goes with its owner, Widget w",
				"0 prune PersistentVolumeClaim data: kept, for application till has put its name on it",
			},
		},
		{
			name: "claims and definitions are not pruned by themselves", live: []string{mine(shopClaim), mine(widgetKind)}, owned: []string{shopClaim, widgetKind},
			want: []string{
				"0 prune CustomResourceDefinition widgets.example.com: kept, for all objects of its kind would go as well",
				"0 prune PersistentVolumeClaim data: kept, for its data would be lost",
			},
		},
		{
			name: "a definition is waited for before its objects", desired: []string{widgetKind, widget},
			want: []string{
				"1 apply CustomResourceDefinition widgets.example.com (create)   PATCH /apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com?fieldManager=towline",
				"1 wait CustomResourceDefinition widgets.example.com: established   GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com (watch)",
				"2 apply Widget w (create)   PATCH /apis/example.com/v1/namespaces/shop/widgets/w?fieldManager=towline",
			},
		},
		{
			name: "replicas are left to an autoscaler", desired: []string{shopDeployment}, live: []string{shopDeployment},
			change: func(s *Situation) {
				s.Scaled[kube.RefOf(s.Desired[0].Unstructured).ID()] = "HorizontalPodAutoscaler web"
			},
			want: []string{
				"1 apply Deployment web (update): replicas are left to HorizontalPodAutoscaler web   PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=towline",
				"2 wait Deployment web: new pods ready and serving, old ones gone   GET /apis/apps/v1/namespaces/shop/deployments/web (watch)",
			},
		},
		{name: "nothing to do is an empty plan"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := situation(t, 2, c.desired, c.live, c.owned)
			if c.change != nil {
				c.change(&s)
			}
			steps, err := Plan(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range steps {
				got = append(got, string(rune('0'+step.Wave))+" "+step.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	foreign := strings.Replace(mine(shopDeployment), ApplySetID("web", "shop"), ApplySetID("till", "shop"), 1)
	foreign = strings.Replace(foreign, "towline.dev/app: web", "towline.dev/app: till", 1)
	later := strings.Replace(mine(shopDeployment), "labels: {", `labels: {towline.dev/revision: "7", `, 1)
	cases := map[string]struct {
		live     []string
		strategy string
		want     string
	}{
		"an object of another application": {[]string{foreign}, Rolling, "k8s/web.yaml:1: Deployment/web in namespace shop belongs to another application, till"},
		"an object with a later revision":  {[]string{later}, Rolling, "carries revision 7, later than the revision 2"},
		"a strategy that it does not know": {nil, "yolo", `unknown strategy "yolo": use blue-green, immutable, rolling`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation(t, 2, []string{shopDeployment}, c.live, nil)
			s.Strategy = c.strategy
			if _, err := Plan(s); !refusal.Is(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestPlanStampsObjectsAndNotPods(t *testing.T) {
	t.Parallel()
	s := situation(t, 5, []string{shopSettings, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}}}}`}, nil, nil)
	steps, err := Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	settings, workload := steps[0].Object, steps[1].Object
	if SequenceOf(workload) != 5 || SequenceOf(settings) != 0 {
		t.Errorf("revisions %d and %d, want 5 on the workload and none on the ConfigMap", SequenceOf(workload), SequenceOf(settings))
	}
	for _, o := range []*unstructured.Unstructured{settings, workload} {
		if o.GetLabels()[AppLabel] != "web" || o.GetLabels()[PartOfLabel] != ApplySetID("web", "shop") {
			t.Errorf("labels of %s: %v", o.GetName(), o.GetLabels())
		}
	}
	template, _, _ := unstructured.NestedMap(workload.Object, "spec", "template", "metadata")
	if diff := cmp.Diff(map[string]any{"labels": map[string]any{"app": "web"}}, template); diff != "" {
		t.Errorf("pod template (-want +got):\n%s", diff)
	}
	if len(s.Desired[1].GetLabels()) != 0 {
		t.Error("Plan changed the situation")
	}
}

func TestYieldReplicas(t *testing.T) {
	t.Parallel()
	desired := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2}}`
	owned := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, managedFields: [{manager: towline, operation: Apply, fieldsV1: {"f:spec": {"f:replicas": {}}}}]}, spec: {replicas: 6}}`
	foreign := strings.Replace(owned, "manager: towline", "manager: hpa", 1)
	cases := map[string]struct {
		live       string
		autoscaler string
		want       any
	}{
		"no autoscaler: the manifest's number":                            {owned, "", int64(2)},
		"a new Deployment: the autoscaler's choice":                       {"", "HPA web", nil},
		"the field is the autoscaler's: left out":                         {foreign, "HPA web", nil},
		"the field is ours alone: the live number, for it would become 1": {owned, "HPA web", int64(6)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var live *unstructured.Unstructured
			if c.live != "" {
				live = parse(t, c.live)
			}
			got, _ := YieldReplicas(parse(t, desired), live, c.autoscaler)
			replicas, _, _ := unstructured.NestedFieldNoCopy(got.Object, "spec", "replicas")
			if replicas != c.want {
				t.Errorf("replicas %v, want %v", replicas, c.want)
			}
		})
	}
}

func TestAdopted(t *testing.T) {
	t.Parallel()
	settings := kube.RefOf(parse(t, shopSettings))
	for _, c := range []struct {
		name   string
		live   []string
		before []kube.Ref
		want   []kube.Ref
	}{
		{"what is not there is created", nil, nil, nil},
		{"what is there without an owner is adopted", []string{shopSettings}, nil, []kube.Ref{settings}},
		{"what the application owns is not", []string{mine(shopSettings)}, nil, nil},
		{"what a failed revision has marked is adopted still", []string{mine(shopSettings), mine(shopOther)}, []kube.Ref{settings}, []kube.Ref{settings}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := situation(t, 4, []string{shopSettings, shopOther}, c.live, nil)
			if diff := cmp.Diff(c.want, Adopted(s, c.before)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

func TestNobodyWaitsForWhatHasNoPods(t *testing.T) {
	t.Parallel()
	const none = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 0}}"
	for _, c := range []struct {
		name, desired, live, scaler string
		want                        bool
	}{
		{"a new one without pods", none, "", "", true},
		{"one that stays without pods", none, none, "", true},
		{"one whose pods are to go", none, strings.Replace(none, "replicas: 0", "replicas: 2", 1), "", false},
		{"one whose pods are going", none, strings.TrimSuffix(none, "}") + ", status: {replicas: 1}}", "", false},
		{"one that gets pods", strings.Replace(none, "replicas: 0", "replicas: 1", 1), none, "", false},
		{"one that does not say how many", strings.Replace(none, "replicas: 0", "paused: false", 1), none, "", false},
		{"one that an autoscaler may give pods", none, none, "HorizontalPodAutoscaler web", false},
		{"another kind", strings.Replace(none, "Deployment", "StatefulSet", 1), "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var live []string
			if c.live != "" {
				live = append(live, c.live)
			}
			s := situation(t, 2, []string{c.desired}, live, nil)
			if c.scaler != "" {
				s.Scaled[kube.RefOf(s.Desired[0].Unstructured).ID()] = c.scaler
			}
			if got := Idle(s, s.Desired[0]); got != c.want {
				t.Errorf("idle %t, want %t", got, c.want)
			}
		})
	}
}
