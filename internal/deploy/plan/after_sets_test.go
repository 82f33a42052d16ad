package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

func TestPlanRollingAfterSets(t *testing.T) {
	t.Parallel()
	web, unsized, svc := deployment("web", 3, "app: web"), `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}}`, service("web", "app: web")
	drained := mine(deployment("web", 0, "app: web"))
	const (
		waiting = "wait Deployment web: new pods ready and serving, old ones gone"
		pruned  = "prune Deployment web-0ld0ld00: this revision has it no more"
	)
	for name, c := range map[string]struct {
		desired, live []string
		replicas      int // of the set
		want          []string
	}{
		"the set is drained when the Deployment serves": {[]string{svc, web}, nil, 3, []string{
			"apply Service web (create)", "apply Deployment web (create): 3 replicas", waiting, "drain Deployment web-0ld0ld00: 3 pods in batches", pruned,
		}},
		"the Deployment is as large as the set, for as long as it stands": {[]string{svc, web}, []string{drained}, 5, []string{
			"apply Service web (create)", "apply Deployment web (update): 5 replicas", waiting, "drain Deployment web-0ld0ld00: 5 pods in batches",
			"apply Deployment web (update): 3 replicas", waiting, pruned,
		}},
		"what an autoscaler sets does not begin with no pods": {[]string{svc, web, scaler}, []string{drained}, 5, []string{
			"apply Service web (create)", "apply Deployment web (update): 5 replicas", "apply HorizontalPodAutoscaler web (create)", waiting, "drain Deployment web-0ld0ld00: 5 pods in batches", pruned,
		}},
		"nor does what names no replicas": {[]string{svc, unsized}, []string{drained}, 5, []string{
			"apply Service web (create)", "apply Deployment web (update): 5 replicas", waiting, "drain Deployment web-0ld0ld00: 5 pods in batches", pruned,
		}},
		"a set without pods is only pruned": {[]string{svc, web}, nil, 0, []string{
			"apply Service web (create)", "apply Deployment web (create)", waiting, pruned,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := oldSet(t, c.replicas)
			s := situation(t, 2, c.desired, c.live, nil)
			s.Desired = manifest.Sort(s.Desired)
			s.Sets, s.Owned, s.Floor = []Set{set}, []kube.Ref{set.Ref()}, map[string]int{"web": c.replicas}
			s.Live[set.Ref().ID()] = set.Live
			if len(c.desired) > 2 {
				s.Scaled[kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}.ID()] = "HorizontalPodAutoscaler web"
			}
			steps, err := Plan(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range steps {
				step.Request = ""
				got = append(got, step.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("plan (-want +got):\n", diff)
			}
		})
	}
}
