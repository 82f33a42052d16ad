package deploy

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

func TestWhatARollingUpdateCannotChange(t *testing.T) {
	t.Parallel()
	const (
		deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}}"
		labelled   = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, tier: front}}}}}"
		reselected = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {tier: front}}, template: {metadata: {labels: {app: web, tier: front}}}}}"
		service    = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}}}"
		narrow     = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web, tier: front}}}"
		set        = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-0ld0ld00, namespace: shop}, spec: {selector: {matchLabels: {app: web, towline.dev/set: 0ld0ld00}}, template: {metadata: {labels: {app: web, towline.dev/set: 0ld0ld00}}}}}"
		drained    = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}}"
		ofSet      = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web, towline.dev/set: 0ld0ld00}}}"
	)
	for _, c := range []struct {
		name          string
		desired, live []string
		want          string
	}{
		{"nothing is there yet", []string{labelled, narrow}, nil, ""},
		{"nothing changed", []string{deployment, service}, []string{deployment, service}, ""},
		{"the selector of a Deployment", []string{reselected, service}, []string{labelled, service}, "Deployment web"},
		{"a Service that would leave the pods that it has", []string{labelled, narrow}, []string{deployment, service}, "Service web"},
		{"a Service whose new selector means them as well", []string{labelled, narrow}, []string{labelled, service}, ""},
		{"a Service that would leave the set that it has", []string{labelled, narrow}, []string{drained, set, ofSet}, "Service web"},
		{"a Service that will mean the set as well", []string{deployment, service}, []string{drained, set, ofSet}, ""},
		{"a Service that has no pods to leave", []string{labelled, narrow}, []string{drained, service}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			services, running := map[string]*unstructured.Unstructured{}, []unstructured.Unstructured{}
			for _, o := range objectsOf(t, c.live) {
				if o.GetKind() == "Service" {
					services[kube.RefOf(o.Unstructured).ID()] = o.Unstructured
				} else {
					running = append(running, *o.Unstructured)
				}
			}
			if got := unrollable(objectsOf(t, c.desired), services, running); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func objectsOf(t *testing.T, documents []string) []manifest.Object {
	t.Helper()
	var objects []manifest.Object
	for _, document := range documents {
		o := &unstructured.Unstructured{}
		text, err := yaml.YAMLToJSON([]byte(document))
		if err == nil {
			err = o.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, manifest.Object{Unstructured: o})
	}
	return objects
}
