package manifest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const unsorted = `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: hook}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: route}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: ingress}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: hpa}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: second}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: first}}
---
{apiVersion: example.com/v1, kind: Custom, metadata: {name: custom}}
---
{apiVersion: v1, kind: Service, metadata: {name: service}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: config}}
---
{apiVersion: v1, kind: Secret, metadata: {name: secret}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: binding}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: account}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: crd}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: namespace}}
`

func TestSortPutsWhatOthersNeedFirst(t *testing.T) {
	t.Parallel()
	objs := parsed(t, unsorted)
	before := refs(objs)
	want := []string{
		"Namespace/namespace", "CustomResourceDefinition/crd", "ServiceAccount/account", "RoleBinding/binding",
		"Secret/secret", "ConfigMap/config", "PersistentVolumeClaim/claim", "Service/service",
		"Deployment/second", "Deployment/first", "HorizontalPodAutoscaler/hpa", "Custom/custom",
		"Ingress/ingress", "HTTPRoute/route", "ValidatingWebhookConfiguration/hook",
	}
	if diff := cmp.Diff(want, refs(Sort(objs))); diff != "" {
		t.Errorf("sorted (-want +got)\n%s", diff)
	}
	slices.Reverse(want)
	if diff := cmp.Diff(want, refs(Reverse(objs))); diff != "" {
		t.Errorf("reversed (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(before, refs(objs)); diff != "" {
		t.Errorf("the argument was changed (-want +got)\n%s", diff)
	}
}
