package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/manifest"
)

// TestGroups holds the members of groups and their order, which the names of
// sets come from: a set that is there must be found again.
func TestGroups(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		var services, deployments []manifest.Object
		for i := range 10 {
			services = append(services, labelled(random, "v1", "Service", i))
			deployments = append(deployments, labelled(random, "apps/v1", "Deployment", i))
		}
		var got [][]string
		for _, g := range groups(services, deployments) {
			got = append(got, names(g.deployments))
			var mine []string
			for _, i := range g.services {
				mine = append(mine, services[i].GetName())
			}
			slices.Sort(mine)
			want := names(manifest.Selecting(services, g.deployments))
			if diff := cmp.Diff(slices.Sorted(slices.Values(want)), mine); diff != "" {
				t.Errorf("seed %d: Services of %v (-want +got):\n%s", seed, names(g.deployments), diff)
			}
		}
		if diff := cmp.Diff(pairwise(services, deployments), got); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// pairwise are the groups by comparing each Deployment with each group.
func pairwise(services, deployments []manifest.Object) [][]string {
	var found [][]manifest.Object
	for _, d := range deployments {
		group := []manifest.Object{d}
		mine := manifest.Selecting(services, group)
		var rest [][]manifest.Object
		for _, other := range found {
			shared := slices.ContainsFunc(manifest.Selecting(services, other), func(s manifest.Object) bool {
				return slices.ContainsFunc(mine, func(m manifest.Object) bool { return m.Unstructured == s.Unstructured })
			})
			if shared {
				group = slices.Concat(other, group)
			} else {
				rest = append(rest, other)
			}
		}
		rest = append(rest, group)
		found = rest
	}
	var all [][]string
	for _, group := range found {
		all = append(all, names(group))
	}
	return all
}

func names(objects []manifest.Object) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GetName())
	}
	return all
}

// labelled is a Service with a selector or a Deployment with pod labels.
func labelled(random *rand.Rand, apiVersion, kind string, i int) manifest.Object {
	labels := map[string]any{}
	for _, name := range []string{"app", "tier"} {
		if kind == "Deployment" || random.IntN(2) == 0 {
			labels[name] = fmt.Sprint(random.IntN(8))
		}
	}
	spec := map[string]any{"selector": labels}
	if kind == "Deployment" {
		spec = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}}}
	}
	return manifest.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "spec": spec, "metadata": map[string]any{"name": fmt.Sprint(kind, i), "namespace": "n"},
	}}}
}
