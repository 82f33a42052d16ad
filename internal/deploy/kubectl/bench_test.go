package kubectl_test

import (
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/methodtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// BenchmarkApply compares one changing write by each method.
func BenchmarkApply(b *testing.B) {
	cluster := kubetest.Connect(b)
	namespace := kubetest.Namespace(b, cluster)
	for name, method := range map[string]methodtest.Method{"api": cluster, "kubectl": newMethod(b, cluster)} {
		b.Run(name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				object := &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": namespace}, "data": map[string]any{"n": strconv.Itoa(n)},
				}}
				if _, err := method.Apply(b.Context(), object, kube.ApplyOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
