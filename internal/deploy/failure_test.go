package deploy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

func TestAnUpdateThatCannotWorkEndsEarlyAndIsReverted(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	missing := image[:strings.LastIndex(image, "@")] + "@sha256:" + strings.Repeat("0", 64)
	cases := map[string]struct {
		update []string       // manifests of the second revision
		want   []string       // in the message
		within time.Duration  // of the whole deployment, revert included
		seen   func(*Request) // changes the request
	}{
		"an image that is not there": {
			update: []string{web(missing, 1) + ready, webService},
			want:   []string{"Deployment web", "pod web-", "container web", "ErrImagePull", "not found", "Reverted to revision 1"},
			within: 30 * time.Second,
		},
		"a container that crashes": {
			update: []string{web(image, 1, "MODE=crash") + ready, webService},
			want:   []string{"crashes again and again", "exit code 1", "| boom: no database", "events of pod web-", "Reverted to revision 1"},
			within: 60 * time.Second,
		},
		"a ConfigMap that is not there": {
			update: []string{web(image, 1) + "        envFrom: [{configMapRef: {name: absent}}]\n" + ready, webService},
			want:   []string{"CreateContainerConfigError", `configmap "absent" not found`, "Reverted to revision 1"},
			within: 40 * time.Second,
		},
		"a pod that fits on no node": {
			update: []string{web(image, 1) + "        resources: {requests: {memory: 900Ti}}\n" + ready, webService},
			want:   []string{"Unschedulable", "Insufficient memory", "Reverted to revision 1"},
			within: 40 * time.Second,
		},
		"a quota that leaves no room": {
			update: []string{web(image, 1, "VERSION=2") + ready, webService, "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: quota}\nspec: {hard: {pods: \"1\"}}\n"},
			want:   []string{"exceeded quota", "Reverted to revision 1"},
			within: 50 * time.Second,
		},
		"a pod that never becomes ready": {
			update: []string{web(image, 1, "MODE=unready") + ready, webService},
			want:   []string{"timeout of 12s", "0 of 1 new pods are ready", "Readiness probe failed", "503", "| web", "Reverted to revision 1"},
			within: 60 * time.Second,
			seen:   func(r *Request) { r.Timeout = "12s" },
		},
		"an application that answers with errors": {
			update: []string{web(image, 1, "MODE=broken") + ready, webService},
			want:   []string{"requests lost", "500", "the budget is 0", "Reverted to revision 1"},
			within: 60 * time.Second,
			seen:   func(r *Request) { r.Verify.Off = false },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.config.Unschedulable = 5 * time.Second
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployFirst(t)
			before := b.generation(t)
			b.write(t, c.update...)
			request := b.request()
			request.Verify.Off = true
			if c.seen != nil {
				c.seen(&request)
			}
			d := b.deploy(t, request)
			if d.Outcome != pipeline.Failed || !d.Reverted {
				t.Fatalf("outcome %s, reverted %t: %s", d.Outcome, d.Reverted, d.Message)
			}
			for _, want := range c.want {
				if !strings.Contains(d.Message, want) {
					t.Errorf("message lacks %q:\n%s", want, d.Message)
				}
			}
			if d.Seconds > c.within.Seconds() {
				t.Errorf("took %.1f s, want at most %s", d.Seconds, c.within)
			}
			t.Logf("failed and reverted in %.1f s", d.Seconds)
			if after := b.image(t); after != image {
				t.Errorf("the Deployment runs %s after the revert (generation %d before), want %s", after, before, image)
			}
		})
	}
}

func (b *bundle) generation(t *testing.T) int64 {
	t.Helper()
	live, err := b.cluster.Get(t.Context(), b.ref("apps/v1", "Deployment", "web"))
	if err != nil {
		t.Fatal(err)
	}
	return live.GetGeneration()
}

func (b *bundle) image(t *testing.T) string {
	t.Helper()
	live, err := b.cluster.Get(t.Context(), b.ref("apps/v1", "Deployment", "web"))
	if err != nil {
		t.Fatal(err)
	}
	spec := live.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	return spec["containers"].([]any)[0].(map[string]any)["image"].(string)
}

func TestAnObjectThatTheServerRefusesChangesNothing(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	policy := `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: other}}, spec: {containers: [{name: web, image: x}]}}}
`
	cases := map[string]struct{ manifest, want string }{
		"an invalid object":           {policy, "k8s/web.yaml:1: Deployment web: "},
		"a field that does not exist": {strings.Replace(web(image, 1), "replicas:", "replicsa:", 1), "replicsa"},
		"a kind that does not exist":  {"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n", "does not know the kind Widget"},
		"an immutable field":          {strings.ReplaceAll(web(image, 1), "app: web", "app: web2"), "immutable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployFirst(t)
			before := b.generation(t)
			b.write(t, c.manifest, webService, extra)
			d := b.deploy(t, b.request())
			if d.Outcome != pipeline.Failed || d.Reverted || !strings.Contains(d.Message, c.want) || !strings.Contains(d.Message, "nothing has been changed") {
				t.Errorf("outcome %s: %s\nwant %q", d.Outcome, d.Message, c.want)
			}
			if after := b.generation(t); after != before {
				t.Errorf("generation %d, want %d as before", after, before)
			}
			b.wantGone(t, b.ref("v1", "ConfigMap", "extra"))
			b.wantOneRevision(t, 1, pipeline.Succeeded)
		})
	}
}

func TestAFirstDeploymentThatFailsIsLeftForALook(t *testing.T) {
	b := setup(t)
	b.write(t, web(webImage(t), 1, "MODE=crash")+ready, webService)
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || d.Reverted || !strings.Contains(d.Message, "no earlier revision to go back to") {
		t.Errorf("outcome %s, reverted %t: %s", d.Outcome, d.Reverted, d.Message)
	}
	b.generation(t) // It is still there.
}

// What is deployed next must not be held up by what is broken now.
func TestABrokenApplicationIsMended(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	request := b.request()
	request.Verify.Budget = 1 << 20
	b.write(t, web(image, 1, "MODE=broken")+ready, webService)
	b.deployWell(t, request)
	b.write(t, web(image, 1, "VERSION=2")+ready, webService)
	d := b.deployWell(t, b.request())
	if d.Verdict == nil || d.Verdict.Lost != 0 || d.Verdict.Requests == 0 {
		t.Errorf("verdict %+v, want only the requests to the new pods", d.Verdict)
	}
}

func TestAFieldThatSomeoneElseSetIsNamedWithItsOwner(t *testing.T) {
	b := setup(t)
	image := webImage(t)
	b.write(t, web(image, 1, "VERSION=1")+ready, webService)
	b.deployFirst(t)
	b.applyAs(t, "anna", strings.Replace(webService, "{app: web}", "{app: other}", 1))
	d := b.deploy(t, b.request())
	if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, `.spec.selector is owned by "anna"`) {
		t.Errorf("outcome %s: %s", d.Outcome, d.Message)
	}
}

func TestAClusterThatDoesNotAnswerIsNamedWithinSeconds(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/config"
	config := `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: staging, context: {cluster: c, user: u}}]
current-context: staging
`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = New(Config{Cluster: cluster}).Deploy(context.Background(), Request{Deploy: pipeline.Deploy{App: "web"}, Root: t.TempDir()})
	for _, want := range []string{`context "staging"`, "https://127.0.0.1:1", "connection refused", "Check that the cluster runs"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestTwoApplicationsCannotOwnOneObject(t *testing.T) {
	b := setup(t)
	b.write(t, fmt.Sprintf(settings, "hello"))
	b.deployWell(t, b.request())
	request := b.request()
	request.App = "shop"
	d := b.deploy(t, request)
	if d.Outcome != pipeline.Failed || !strings.Contains(d.Message, "belongs to another application, web") {
		t.Errorf("outcome %s: %s", d.Outcome, d.Message)
	}
}
