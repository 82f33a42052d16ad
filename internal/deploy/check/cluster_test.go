package check

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

const shop = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: IMAGE
    env: [{name: VERSION, value: green}]
    readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web-preview}
spec: {selector: {app: web}, ports: [{port: 8080}]}
`

const smoke = `
apiVersion: batch/v1
kind: Job
metadata: {name: smoke, annotations: {towline.dev/hook: check}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: smoke, image: IMAGE, args: [MODE], env: [{name: PREVIEW_HOST, value: wrong}]}]
`

// stand is a namespace with a Service of one pod.
func stand(t *testing.T) (c Config, log *strings.Builder, task string) {
	t.Helper()
	cluster := kubetest.Connect(t)
	web := imagetest.Serve(t, cluster, "../testdata/web")
	task = imagetest.Serve(t, cluster, "../job/testdata/task")
	c = config(t)
	log = &strings.Builder{}
	c.Cluster, c.Namespace, c.Service, c.Log = cluster, kubetest.Namespace(t, cluster), "web-preview", runbook.New(log, nil)
	for text := range strings.SplitSeq(strings.ReplaceAll(shop, "IMAGE", `"`+web+`"`), "---") {
		object := parse(t, text)
		object.SetNamespace(c.Namespace)
		if _, err := cluster.Apply(t.Context(), object, kube.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return c, log, task
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	return &object
}

func TestInTheCluster(t *testing.T) {
	t.Parallel()
	c, log, task := stand(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the runbook:\n%s", log)
		}
	})
	t.Run("a Service that only the cluster reaches is asked by the API server", func(t *testing.T) {
		// The pod is not ready when this begins, so this waits for it as well.
		check := pipeline.Check{Name: "version", Timeout: "3m", HTTP: &pipeline.HTTPCheck{Contains: "green"}}
		result, err := Run(t.Context(), c, check)
		if err != nil || result.Answered != "200 OK" || result.Asked != "GET / of Service web-preview" {
			t.Errorf("result %+v, %v", result, err)
		}
		if !strings.Contains(log.String(), "by the service proxy of the API server") {
			t.Errorf("the log does not say which way the requests went")
		}
	})
	t.Run("the application's own answer is told from the API server's", func(t *testing.T) {
		check := pipeline.Check{Timeout: "2s", HTTP: &pipeline.HTTPCheck{Contains: "blue"}}
		if _, err := Run(t.Context(), c, check); !refusal.Is(err) || !strings.Contains(err.Error(), `answered 200 OK "green"`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a Service that is not there ends it at once", func(t *testing.T) {
		begin := time.Now()
		check := pipeline.Check{Timeout: "5m", HTTP: &pipeline.HTTPCheck{Service: "wbe"}}
		if _, err := Run(t.Context(), c, check); !refusal.Is(err) || !strings.Contains(err.Error(), "wbe") || time.Since(begin) > time.Minute {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
	})
	t.Run("a Prometheus whose name only the cluster knows is found", func(t *testing.T) {
		check := pipeline.Check{Timeout: "3s", Prometheus: &pipeline.PrometheusCheck{Address: "http://web-preview:8080", Query: "up", Min: new(0.0)}}
		_, err := Run(t.Context(), c, check)
		if !refusal.Is(err) || !strings.Contains(err.Error(), `no answer of Prometheus: "green"`) {
			t.Errorf("error %v, want what the Service answers", err)
		}
	})
	job := func(mode string) []manifest.Object {
		return []manifest.Object{{Unstructured: parse(t, strings.NewReplacer("IMAGE", `"`+task+`"`, "MODE", mode).Replace(smoke))}}
	}
	t.Run("a Job that completes says yes, and knows which Service to test", func(t *testing.T) {
		c.Jobs, c.Key = job("done"), "k/before/0"
		result, err := Run(t.Context(), c, pipeline.Check{Job: "smoke", Timeout: "3m"})
		if err != nil || result.Times != 1 {
			t.Errorf("result %+v, %v", result, err)
		}
		if want := "| task begins, done PREVIEW_HOST=web-preview." + c.Namespace + ".svc\n"; !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	})
	t.Run("the same Job once more is another run, and says no with its log", func(t *testing.T) {
		c.Jobs, c.Key = job("fail"), "k/after/0"
		_, err := Run(t.Context(), c, pipeline.Check{Name: "after all", Job: "smoke", Timeout: "3m"})
		for _, want := range []string{"check after all said no", "BackoffLimitExceeded", "| boom: relation does not exist"} {
			if !refusal.Is(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		}
	})
}
