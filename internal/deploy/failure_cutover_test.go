package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/pipeline"
)

// standing is what must be the same after a deployment that has failed.
type standing struct {
	Pods     []string          // by UID
	Selector map[string]string // of Service web
	Sets     map[string]int    // Deployments with their replicas
}

func (b *bundle) standing(t *testing.T) standing {
	t.Helper()
	pods, err := b.cluster.Pods(t.Context(), b.namespace, "app=web")
	if err != nil {
		t.Fatal(err)
	}
	s := standing{Sets: b.sets(t)}
	for _, pod := range pods {
		s.Pods = append(s.Pods, string(pod.UID))
	}
	slices.Sort(s.Pods)
	live, err := b.cluster.Get(t.Context(), b.ref("v1", "Service", "web"))
	if err != nil {
		t.Fatal(err)
	}
	s.Selector = plan.SelectorOf(live)
	return s
}

// unmeasured is a request with short waits that sends no requests.
func (b *bundle) unmeasured(strategy string) Request {
	request := b.request()
	if strategy != plan.Rolling {
		request = b.cutover(strategy)
		request.Propagation = "1s"
	}
	request.Strategy, request.Verify.Off = strategy, true
	return request
}

// isSecond tells whether an object is of the second revision, or has pods that
// are.
func isSecond(r *admissionv1.AdmissionRequest) bool {
	return strings.Contains(string(r.Object.Raw), `"value":"2"`)
}

// A deployment that cannot work ends with its cause, long before its timeout,
// and what served before has not been touched.
func TestASetThatCannotWorkLeavesTheOldOneUntouched(t *testing.T) {
	t.Parallel()
	image := webImage(t)
	missing := image[:strings.LastIndex(image, "@")] + "@sha256:" + strings.Repeat("0", 64)
	second := []string{web(image, 1, "VERSION=2") + ready, webService}
	both := []string{plan.BlueGreen, plan.Rolling}
	cases := map[string]struct {
		strategies []string
		update     []string
		judge      func(*admissionv1.AdmissionRequest) admission // of the webhook
		quota      string
		timeout    string
		want       []string // in the message
	}{
		"an image that is not there": {
			update: []string{web(missing, 1) + ready, webService},
			want:   []string{"pod web-", "container web", "ErrImagePull", "not found"},
		},
		"a container that crashes": {
			update: []string{web(image, 1, "MODE=crash") + ready, webService},
			want:   []string{"crashes again and again", "exit code 1", "| boom: no database", "events of pod web-"},
		},
		"a ConfigMap that is not there": {
			update: []string{web(image, 1) + "        envFrom: [{configMapRef: {name: absent}}]\n" + ready, webService},
			want:   []string{"CreateContainerConfigError", `configmap "absent" not found`},
		},
		"a pod that fits on no node": {
			update: []string{web(image, 1) + "        resources: {requests: {memory: 900Ti}}\n" + ready, webService},
			want:   []string{"Unschedulable", "Insufficient memory"},
		},
		"a quota that leaves no room for a second pod": {
			update: []string{web(image, 2, "VERSION=2") + ready, webService},
			quota:  `{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {pods: "2"}}}`,
			want:   []string{"exceeded quota: small", "pods=2"},
		},
		"a pod that never becomes ready": {
			update: []string{web(image, 1, "MODE=unready") + ready, webService}, timeout: "15s",
			want: []string{"timeout of 15s", "0 of 1 new pods are ready", "Readiness probe failed", "503", "| web"},
		},
		"a webhook that refuses the pods": {
			strategies: both, update: second,
			judge: func(r *admissionv1.AdmissionRequest) admission {
				if r.Kind.Kind == "Pod" && isSecond(r) {
					return deny
				}
				return allow
			},
			want: []string{"Deployment web", "FailedCreate", "owners.towline.dev", "ask the platform team"},
		},
		"a webhook that refuses the Deployment, but not its dry-run": {
			strategies: both, update: second,
			judge: func(r *admissionv1.AdmissionRequest) admission {
				if r.Kind.Kind == "Deployment" && isSecond(r) && (r.DryRun == nil || !*r.DryRun) {
					return deny
				}
				return allow
			},
			want: []string{"Deployment web", "owners.towline.dev", "ask the platform team"},
		},
		"a webhook that does not answer about the pods": {
			strategies: both, update: second,
			judge: func(r *admissionv1.AdmissionRequest) admission {
				if r.Kind.Kind == "Pod" && isSecond(r) {
					return hang
				}
				return allow
			},
			want: []string{"Deployment web", "FailedCreate", "failed calling webhook", "owners.towline.dev"},
		},
	}
	for name, c := range cases {
		if len(c.strategies) == 0 {
			c.strategies = []string{plan.BlueGreen} // Rolling is in TestAnUpdateThatCannotWorkEndsEarlyAndIsReverted.
		}
		for _, strategy := range c.strategies {
			t.Run(strategy+": "+name, func(t *testing.T) {
				b := setup(t)
				b.config.Unschedulable = 5 * time.Second
				request := b.unmeasured(strategy)
				request.Timeout = "10m"
				b.write(t, web(image, 1, "VERSION=1")+ready, webService)
				b.deployWell(t, request)
				before := b.standing(t)
				if c.judge != nil {
					b.webhook(t, c.judge)
				}
				if c.quota != "" {
					b.applyAs(t, "platform", c.quota)
				}
				b.write(t, c.update...)
				if c.timeout != "" {
					request.Timeout = c.timeout
				}
				d := b.deploy(t, request)
				if d.Outcome != pipeline.Failed || !d.Reverted {
					t.Fatalf("outcome %s, reverted %t: %s", d.Outcome, d.Reverted, d.Message)
				}
				for _, want := range append(c.want, "Reverted to revision 1") {
					if !strings.Contains(d.Message, want) {
						t.Errorf("message lacks %q:\n%s", want, d.Message)
					}
				}
				if c.timeout == "" && strings.Contains(d.Message, "timeout of") {
					t.Errorf("it took its whole timeout to fail: %s", d.Message)
				}
				t.Logf("failed and reverted in %.1f s", d.Seconds)
				if diff := cmp.Diff(before, b.standing(t)); diff != "" {
					t.Error("what was there before (-want +got):\n", diff)
				}
			})
		}
	}
}

// What the API server does not take even in a dry-run changes nothing at all. A
// webhook that does not answer is no fault of the deployment.
func TestAWebhookInTheWayOfTheDryRunStopsBeforeAnyWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer admission
		want   []string
	}{
		"it refuses":         {deny, []string{"nothing has been changed", "k8s/web.yaml:1: ", "owners.towline.dev", "ask the platform team"}},
		"it does not answer": {hang, []string{"dry-run: Deployment web-", "failed calling webhook", "owners.towline.dev"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			request := b.unmeasured(plan.BlueGreen)
			image := webImage(t)
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployWell(t, request)
			before := b.standing(t)
			b.webhook(t, func(r *admissionv1.AdmissionRequest) admission {
				if r.Kind.Kind == "Deployment" && isSecond(r) {
					return c.answer
				}
				return allow
			})
			b.write(t, web(image, 1, "VERSION=2")+ready, webService)
			d, err := New(b.config).Deploy(t.Context(), request)
			message := d.Message
			if c.answer == hang {
				if err == nil {
					t.Fatalf("outcome %s: %s, want a fault", d.Outcome, d.Message)
				}
				message = err.Error()
			} else if err != nil || d.Outcome != pipeline.Failed || d.Reverted {
				t.Fatalf("outcome %s, reverted %t: %s, error %v", d.Outcome, d.Reverted, d.Message, err)
			}
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("message lacks %q:\n%s", want, message)
				}
			}
			if diff := cmp.Diff(before, b.standing(t)); diff != "" {
				t.Error("what was there before (-want +got):\n", diff)
			}
			history, err := New(b.config).History(t.Context(), b.namespace, "web")
			if err != nil || len(history) != 1 {
				t.Errorf("revisions %v, error %v, want the first one alone", history, err)
			}
		})
	}
}

// A revert that cannot end says so when its own time is over, and lets the next
// deployment in.
func TestARevertThatCannotEndSaysSoAndFreesTheLease(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{plan.Rolling, plan.BlueGreen} {
		t.Run(strategy, func(t *testing.T) {
			b := setup(t)
			b.config.Revert, b.config.LeaseWait = 8*time.Second, time.Second
			image := webImage(t)
			request := b.unmeasured(strategy)
			request.Timeout = "5m"
			b.write(t, web(image, 1, "VERSION=1")+ready, webService)
			b.deployWell(t, request)
			// A pod that somebody holds on to never goes.
			held := strings.Replace(web(image, 1, "MODE=crash")+ready, "metadata: {labels: {app: web}}", "metadata: {labels: {app: web}, finalizers: [towline.dev/held]}", 1)
			b.write(t, held, webService)
			request.Timeout = "8s"
			d := b.deploy(t, request)
			t.Cleanup(func() { b.letGo(t) })
			if d.Outcome != pipeline.Failed || d.Reverted {
				t.Fatalf("outcome %s, reverted %t: %s", d.Outcome, d.Reverted, d.Message)
			}
			for _, want := range []string{"The revert to revision 1 failed as well", "the revert took longer than 8s", "still there", "towline rollback web --namespace " + b.namespace + " --to 1`"} {
				if !strings.Contains(d.Message, want) {
					t.Errorf("message lacks %q:\n%s", want, d.Message)
				}
			}
			b.letGo(t)
			b.write(t, web(image, 1, "VERSION=3")+ready, webService)
			request.Timeout = "5m"
			b.deployWell(t, request)
			if running := slices.Collect(maps.Keys(b.sets(t))); len(running) > 2 {
				t.Errorf("Deployments %v, want the new one and at most the one before it", running)
			}
		})
	}
}

// letGo takes the finalizers from all pods.
func (b *bundle) letGo(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	pods, err := b.cluster.Pods(ctx, b.namespace, "")
	if err != nil {
		t.Error(err)
	}
	for _, pod := range pods {
		if len(pod.Finalizers) > 0 {
			path := b.cluster.Path(b.ref("v1", "Pod", pod.Name))
			if err := patch(ctx, b.cluster, path, "application/json-patch+json", []byte(`[{"op": "remove", "path": "/metadata/finalizers"}]`)); err != nil {
				t.Error(err)
			}
		}
	}
}
