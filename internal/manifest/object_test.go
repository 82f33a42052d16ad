package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelects(t *testing.T) {
	t.Parallel()
	service := func(metadata, spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: " + metadata + ", spec: " + spec + "}\n"
	}
	deployment := "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web, tier: front}}}}}\n"
	for _, tc := range []struct {
		name, text string
		want       bool
	}{
		{"all labels of the selector", service("{name: a, namespace: shop}", "{selector: {app: web}}") + deployment, true},
		{"one label that differs", service("{name: a, namespace: shop}", "{selector: {app: web, tier: back}}") + deployment, false},
		{"a label that the pods lack", service("{name: a, namespace: shop}", "{selector: {app: web, track: x}}") + deployment, false},
		{"an empty value that the pods lack", service("{name: a, namespace: shop}", "{selector: {app: web, track: \"\"}}") + deployment, false},
		{"another namespace", service("{name: a}", "{selector: {app: web}}") + deployment, false},
		{"no selector", service("{name: a, namespace: shop}", "{ports: []}") + deployment, false},
		{"an empty selector", service("{name: a, namespace: shop}", "{selector: {}}") + deployment, false},
		{"a name of elsewhere", service("{name: a, namespace: shop}", "{type: ExternalName, selector: {app: web}}") + deployment, false},
		{"another kind of Service", "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {selector: {app: web}}}\n" + deployment, false},
		{"a bare Pod", service("{name: a}", "{selector: {app: web}}") + "---\n{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: web}}}\n", true},
		{"a ConfigMap with that label", service("{name: a}", "{selector: {app: web}}") + "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: p, labels: {app: web}}}\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			objs := parsed(t, tc.text)
			if got := Selects(objs[0].Unstructured, objs[1].Unstructured); got != tc.want {
				t.Errorf("selects: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWorkloadsServicesAndImages(t *testing.T) {
	t.Parallel()
	objs := parsed(t, unsorted+`---
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: "z:1"}, {name: b, image: "a:1"}], initContainers: [{name: c, image: "z:1"}]}}
---
{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: k}}
`)
	if diff := cmp.Diff([]string{"Deployment/second", "Deployment/first", "Pod/p"}, refs(Workloads(objs))); diff != "" {
		t.Errorf("workloads (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Service/service"}, refs(Services(objs))); diff != "" {
		t.Errorf("services (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a:1", "z:1"}, Images(objs)); diff != "" {
		t.Errorf("images (-want +got)\n%s", diff)
	}
	if _, ok := Find(objs, ID{Group: "apps", Kind: "Deployment", Name: "first"}); !ok {
		t.Error("the first Deployment is not found")
	}
}
