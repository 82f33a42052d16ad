package manifest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestSelected compares Selected with Selects about every pair, over random
// objects with few labels, so that many pairs match.
func TestSelected(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var services, workloads []Object
		for i := range 12 {
			services = append(services, randomObject(random, "v1", "Service", i))
			workloads = append(workloads, randomObject(random, "apps/v1", "Deployment", i))
		}
		var selecting, selected []Object
		want := make([][]int, len(services))
		for i, s := range services {
			for j, w := range workloads {
				if Selects(s.Unstructured, w.Unstructured) {
					want[i] = append(want[i], j)
				}
			}
			if len(want[i]) > 0 {
				selecting = append(selecting, s)
			}
		}
		for j, w := range workloads {
			if slices.ContainsFunc(want, func(found []int) bool { return slices.Contains(found, j) }) {
				selected = append(selected, w)
			}
		}
		if diff := cmp.Diff(want, Selected(services, workloads)); diff != "" {
			t.Errorf("seed %d: Selected (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(selecting, Selecting(services, workloads)); diff != "" {
			t.Errorf("seed %d: Selecting (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(selected, SelectedBy(services, workloads)); diff != "" {
			t.Errorf("seed %d: SelectedBy (-want +got):\n%s", seed, diff)
		}
		near := neighboursOf(slices.Concat(services, workloads))
		for j, w := range workloads {
			var mine []Object
			for i, s := range services {
				if slices.Contains(want[i], j) {
					mine = append(mine, s)
				}
			}
			if diff := cmp.Diff(mine, near.services(w)); diff != "" {
				t.Errorf("seed %d: services of workload %d (-want +got):\n%s", seed, j, diff)
			}
		}
	}
}

// randomObject is a Service with a selector or a Deployment with pod labels.
func randomObject(random *rand.Rand, apiVersion, kind string, i int) Object {
	labels := map[string]any{}
	for _, name := range []string{"app", "tier", "zone"} {
		if random.IntN(3) > 0 {
			labels[name] = fmt.Sprint(random.IntN(3))
		}
	}
	spec := map[string]any{"selector": labels}
	switch {
	case kind != "Service":
		spec = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}}}
	case random.IntN(8) == 0:
		spec["type"] = "ExternalName"
	}
	return Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": fmt.Sprint(kind, i), "namespace": fmt.Sprint("n", random.IntN(2))},
	}}}
}
