package manifest

import (
	"fmt"
	"testing"
)

// thousand are 1,000 objects: Deployments, the Services that select them, and
// the ConfigMaps that they read.
func thousand() []Object {
	var objs []Object
	for i := range 1000 / 3 {
		name := fmt.Sprintf("app-%d", i)
		labels := map[string]any{"app": name}
		deployment := objectOf("apps/v1", "Deployment", map[string]any{"replicas": int64(3), "template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"containers": []any{map[string]any{"name": "web", "image": "web:1", "envFrom": []any{map[string]any{"configMapRef": map[string]any{"name": name}}}}},
		}}})
		service := objectOf("v1", "Service", map[string]any{"selector": labels, "ports": []any{map[string]any{"port": int64(80)}}})
		config := objectOf("v1", "ConfigMap", nil)
		config.Object["data"] = map[string]any{"a": name}
		for _, o := range Wrap(deployment, service, config) {
			o.SetName(name)
			objs = append(objs, o)
		}
	}
	return objs
}

// BenchmarkPrepare is what happens to 1,000 objects between their files and
// the cluster.
func BenchmarkPrepare(b *testing.B) {
	objs := thousand()
	for b.Loop() {
		copied := Copy(objs)
		Complete(copied, Recipe{})
		frozen, _ := FreezeConfigs(copied)
		NameJobs(frozen)
		if _, err := Hooks(frozen); err != nil {
			b.Fatal(err)
		}
		Sort(frozen)
	}
}
