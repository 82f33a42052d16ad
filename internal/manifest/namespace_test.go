package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// parsed are the objects of a YAML literal.
func parsed(t *testing.T, text string) []Object {
	t.Helper()
	objs, err := parse("in.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

const mixedScopes = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader, namespace: lost}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: own, namespace: shop}}
---
{apiVersion: example.com/v1, kind: Wide, metadata: {name: w}}
---
{apiVersion: example.com/v1, kind: Narrow, metadata: {name: narrow}}
---
{apiVersion: example.com/v1, kind: Unknown, metadata: {name: u}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: narrows.example.com}
spec: {group: example.com, scope: Namespaced, names: {kind: Narrow}}
`

func TestSetNamespace(t *testing.T) {
	t.Parallel()
	scope := func(gvk schema.GroupVersionKind) (namespaced, known bool) { return false, gvk.Kind == "Wide" }
	objs := parsed(t, mixedScopes)
	if err := SetNamespace(objs, "shop", scope); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Deployment/web in namespace shop",
		"ClusterRole/reader",
		"Namespace/shop",
		"ConfigMap/own in namespace shop",
		"Wide/w",
		"Narrow/narrow in namespace shop",
		"Unknown/u",
		"CustomResourceDefinition/narrows.example.com",
	}
	if diff := cmp.Diff(want, refs(objs)); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
}

func refs(objs []Object) []string {
	var names []string
	for _, o := range objs {
		names = append(names, Ref(o.Unstructured))
	}
	return names
}

func TestSetNamespaceRefusesOtherNamespaces(t *testing.T) {
	t.Parallel()
	objs := parsed(t, mixedScopes)
	err := SetNamespace(objs, "prod", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "in.yaml:8: ConfigMap/own in namespace shop names a namespace other than") {
		t.Errorf("error %v", err)
	}
	if got := objs[0].GetNamespace(); got != "" {
		t.Errorf("in spite of the error the Deployment got namespace %q", got)
	}
	for _, allowed := range []string{"shop", "*"} {
		if err := SetNamespace(Copy(objs), "prod", nil, allowed); err != nil {
			t.Errorf("allowed %s: %v", allowed, err)
		}
	}
}

func TestSetNamespaceRefusesTwoThatBecomeOne(t *testing.T) {
	t.Parallel()
	objs := parsed(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}\n")
	err := SetNamespace(objs, "shop", nil)
	if diff := cmp.Diff("in.yaml:3: ConfigMap/a in namespace shop is there twice: remove it here or at in.yaml:1", message(err)); diff != "" {
		t.Errorf("error (-want +got)\n%s", diff)
	}
}
