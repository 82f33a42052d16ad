package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/deploy/webtest"
	"github.com/towline/towline/internal/kube/kubetest"
)

// deploying is a pipeline whose deploy step is a function.
const deploying = `pipeline: NAME
stages:
  - name: Deploy
    actions:
      - name: production
        invoke: {function: deploy, parameters: '{"app": "web", "namespace": "NAME", "config": "deploy.yaml"}'}
        inputs: [source]
  - name: After
    actions:
      - {name: says, build: {commands: ["echo 'revision #{production.Revision}, #{production.Lost} of #{production.Requests} lost'"]}}
`

const webService = `
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
`

// TestALambdaFunctionDeploys packs the program as people do for AWS, and has a
// pipeline here give it the deploy step. Its time is so short that it needs
// several invocations.
func TestALambdaFunctionDeploys(t *testing.T) {
	t.Parallel()
	name := unique(t, "fn")
	image := imagetest.Serve(t, kubetest.Connect(t), "../internal/deploy/testdata/web")
	s := start(t)
	zip := filepath.Join(t.TempDir(), "function.zip")
	if _, stderr, code := s.run("lambda", "package", "--output-file", zip, "--kubeconfig", os.Getenv("KUBECONFIG")); code != 0 {
		t.Fatal(stderr)
	}
	put := func(args ...string) {
		if _, stderr, code := s.run(append([]string{"function", "put", "deploy"}, args...)...); code != 0 {
			t.Fatal(stderr)
		}
	}
	put("--runtime", "provided.al2023", "--zip", zip, "--timeout", "5m")
	manifests := func(env ...string) string { return webtest.Deployment(image, 2, env...) + webtest.Ready + webService }
	repo := s.repository(name, map[string]string{
		"towline.yaml": strings.ReplaceAll(deploying, "NAME", name),
		"deploy.yaml":  "strategy: rolling\npropagation: 3s\nverify: {path: /, rate: 40}\n",
		"k8s/web.yaml": manifests("VERSION=1", "MODE=graceful"),
	})

	t.Log("within one invocation")
	e := s.await(repo.push("First").ID)
	s.succeeded(e)
	if got := action(t, e, "production").Result; got.Variables["Revision"] != "1" || got.Variables["Namespace"] != name {
		t.Errorf("result %+v", got)
	}

	t.Log("in slices")
	put("--timeout", "20s")
	repo.write(map[string]string{
		"deploy.yaml":  "strategy: immutable\npropagation: 3s\nscaleDownDelay: 25s\nverify: {path: /, rate: 40}\n",
		"k8s/web.yaml": manifests("VERSION=2", "MODE=graceful"),
	})
	e = s.await(repo.push("Second").ID)
	s.succeeded(e)
	got := action(t, e, "production").Result
	if got.Variables["Revision"] != "2" || got.Variables["Requests"] == "" {
		t.Errorf("result %+v", got)
	}
	log := s.logOf(e, "production")
	if strings.Count(log, "START RequestId") < 2 || !strings.Contains(log, "resume  revision 2") {
		t.Errorf("it was not done in slices:\n%s", log)
	}
	t.Log(got.Summary)
	if said := s.logOf(e, "says"); !strings.Contains(said, "revision 2, ") {
		t.Error(said)
	}

	t.Log("what cannot be deployed fails the action")
	put("--timeout", "5m")
	repo.write(map[string]string{"deploy.yaml": "strategy: canary\n"})
	e = s.await(repo.push("Third").ID)
	if got := action(t, e, "production").Result; !strings.Contains(got.Message, "ConfigurationError") || !strings.Contains(got.Message, "canary") {
		t.Errorf("result %+v", got)
	}
}
