package e2e_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

const pullPipeline = `pipeline: NAME
stages:
  - name: Package
    actions:
      - {name: app, build: {commands: [chmod +x web], artifacts: [web]}}
  - name: Image
    actions:
      - {name: image, image: {repository: NAME, entrypoint: [/app/web]}}
  - name: Deploy
    actions:
      - name: production
        deploy:
          namespace: NAME
          manifests: k8s
          images: {web: "#{image.ImageURI}"}
          verify: {path: /, rate: 100, from: pod}
          drain: proxy
`

// TestPodsPullWithTheirOwnPasswordOnly deploys with all that Towline puts into
// a namespace: the application, the draining proxy beside it and the prober's
// pod. They pull from the embedded registry; a pod of somebody else, on the
// same node and in the same namespace, does not.
func TestPodsPullWithTheirOwnPasswordOnly(t *testing.T) {
	t.Parallel()
	name := unique(t, "pull")
	s := start(t)
	files := map[string]string{
		"towline.yaml": strings.ReplaceAll(pullPipeline, "NAME", name),
		"web":          compile(t, smallServer), // what is in the image does not matter
		"k8s/web.yaml": smallManifests,
	}
	e := s.await(s.repository(name, files).push("First").ID)
	s.succeeded(e)
	d := action(t, e, "production").Result.Deployment
	if d == nil || d.Verdict == nil || d.Verdict.Lost > 0 || !strings.Contains(d.Verdict.Via, "pod ") {
		t.Fatalf("deployment %+v", d)
	}
	var image string
	var agent bool
	for _, ref := range d.Images {
		if strings.Contains(ref, "/towline/agent@") {
			agent = true
		} else {
			image = ref
		}
	}
	if !agent || image == "" {
		t.Fatalf("images %v, want the application's and the agent's", d.Images)
	}

	cluster := kubetest.Connect(t)
	stranger := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: name, Name: "stranger"}
	_, err := cluster.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": stranger.Name, "namespace": name},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": image, "imagePullPolicy": "Always"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var why string
	waittest.Until(t, "the stranger is refused", func() bool {
		pod, err := cluster.Get(t.Context(), stranger)
		if err != nil {
			t.Fatal(err)
		}
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
		for _, status := range statuses {
			if message, _, _ := unstructured.NestedString(status.(map[string]any), "state", "waiting", "message"); strings.Contains(message, "pull") {
				why = message
			}
			if _, running, _ := unstructured.NestedMap(status.(map[string]any), "state", "running"); running {
				t.Fatal("a pod without a pull secret runs")
			}
		}
		return why != ""
	})
	if !strings.Contains(why, "401") && !strings.Contains(why, "authorization failed") {
		t.Errorf("the stranger waits: %s", why)
	}
	if d.Outcome != pipeline.Succeeded {
		t.Errorf("outcome %s", d.Outcome)
	}
}
