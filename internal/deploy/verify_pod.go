package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/deploy/pullsecret"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/rollout"
	"github.com/towline/towline/internal/deploy/runbook"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/probe/remote"
)

// The marks on a prober's pod and Secret. None of them is the application's,
// so that no selector of its Services can take the pod for one of its own.
const (
	proberLabel         = "towline.dev/prober"          // name of the application
	proberRevisionLabel = "towline.dev/prober-revision" // of the deployment that it measures
	taskKey             = "task"                        // of the Secret: JSON of remote.Task
)

// The timing and size of a prober's pod.
const (
	// proberPort is the one port that control planes reach on pods almost
	// everywhere, since kubelets and metrics servers listen on it.
	proberPort  = 10250
	proberStart = time.Minute // for its image to come, and to answer
	proberStop  = time.Minute // for an API server that restarts just then
	proberGone  = 20 * time.Second
)

// podProber is a prober in a pod.
type podProber struct {
	*remote.Remote
	cluster *kube.Cluster
	log     *runbook.Runbook
	place   kube.Ref // of the pod; its Secret has the same name
}

var _ prober = (*podProber)(nil)

// via is the way of its requests, as the verdict has it.
func via(place kube.Ref) string {
	return fmt.Sprintf("pod %s in namespace %s", place.Name, place.Namespace)
}

// fromPod begins to send requests from a pod of the application's namespace.
func (w *watchman) fromPod(ctx context.Context, r *run) (prober, string, error) {
	if r.AgentImage == nil {
		return nil, "", errNoImage()
	}
	image, err := r.AgentImage(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("verify: find the agent's image: %w", err)
	}
	target := w.verify.URL
	if target == "" {
		target, err = r.Cluster.ClusterURL(ctx, r.record.Namespace, w.service)
		if _, none := errors.AsType[*kube.NoWayError](err); none {
			return nil, "", refusal.New("verify.from: not from a pod: %v. Set verify.from to proxy, or verify.url", err)
		}
		if err != nil {
			return nil, "", refusal.Or(err, "verify: %v", err)
		}
		if route, err := r.Cluster.ServiceURL(ctx, r.record.Namespace, w.service); err == nil && route.Public {
			w.public = route.URL + "/"
		}
	}
	config := w.config(target)
	name := fmt.Sprintf("towline-probe-%s-%s", r.record.App, strings.ToLower(rand.Text()[:6]))
	place := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: r.record.Namespace, Name: name}
	task := remote.Task{
		URL: config.URL, Method: config.Method, Header: w.verify.Header, Body: config.Body, Rate: config.Rate,
		Patience: reachTime, Via: via(place), Token: rand.Text(),
	}
	p := &podProber{cluster: r.Cluster, log: r.log, place: place}
	if err := p.begin(ctx, r, image, task); err != nil {
		p.remove()
		return nil, "", err
	}
	return p, config.URL, nil
}

func errNoImage() error {
	return refusal.New("verify.from: pod needs the agent's image, and this deployer knows of none: " +
		"push it by `towline agent push REFERENCE` and name it with --agent-image, or deploy through a server, which has it")
}

// begin makes the Secret and the pod, and waits until the prober answers.
func (p *podProber) begin(ctx context.Context, r *run, image string, task remote.Task) error {
	text, err := task.Encode()
	if err != nil {
		return refusal.New("verify: %v", err)
	}
	labels := map[string]string{
		"app.kubernetes.io/managed-by": kube.FieldManager, proberLabel: r.record.App, proberRevisionLabel: strconv.Itoa(r.record.Revision),
	}
	secret, err := p.cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.place.Namespace, Name: p.place.Name, Labels: labels},
		Data:       map[string][]byte{taskKey: []byte(text)},
	})
	if err != nil {
		return refusal.Or(err, "verify.from: the prober's pod gets no Secret for its task: %v", err)
	}
	pod, err := proberPod(secret, image, proberLifeOf(r.settings, r.timeout))
	if err != nil {
		return err
	}
	if err := p.pullable(ctx, r.Pull, secret, pod); err != nil {
		return err
	}
	if _, err := p.cluster.Create(ctx, pod); err != nil {
		return refusal.Or(err, "verify.from: the prober's pod is refused: %v. Set verify.from to proxy or direct to do without one", err)
	}
	r.log.Line("probe   pod %s with image %s   POST /api/v1/namespaces/%s/pods", p.place.Name, image, p.place.Namespace)
	limited, cancel := context.WithTimeoutCause(ctx, proberStart, refusal.Deadline("it has not begun within %s", proberStart))
	defer cancel()
	if err := p.running(limited, r.Unschedulable); err != nil {
		return err
	}
	return p.attach(limited, task.Token)
}

// pullable gives the pod what it needs to pull from Towline's own registry: a
// Secret of its own, which goes with the task's.
func (p *podProber) pullable(ctx context.Context, from PullSource, task *corev1.Secret, pod *unstructured.Unstructured) error {
	objects, _, err := pullsecret.Add([]manifest.Object{{Unstructured: pod}}, pullsecret.Config{App: p.place.Name, Host: from.Host, Password: from.Password})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, o := range objects[1:] {
		o.SetOwnerReferences([]metav1.OwnerReference{ownedBy(task)})
		if _, err := p.cluster.Create(ctx, o.Unstructured); err != nil {
			return refusal.Or(err, "verify.from: the prober's pod gets no pull secret: %v", err)
		}
	}
	return nil
}

func ownedBy(secret *corev1.Secret) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID}
}

// running waits until the pod runs, and says why it does not.
func (p *podProber) running(ctx context.Context, unschedulable time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	pods := p.cluster.FollowPods(ctx, kube.Scope{Namespace: p.place.Namespace, Name: p.place.Name, Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	judge := rollout.Pods{Cluster: p.cluster, Unschedulable: unschedulable}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := pods.Err(); err != nil {
			return refusal.Or(err, "verify.from: %v", err)
		}
		for _, pod := range pods.Items() {
			if pod.Status.Phase == corev1.PodRunning {
				return nil
			}
			if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
				return refusal.New("verify.from: the prober's pod ended at once: %s%s", pod.Status.Message, judge.Diagnose(ctx, pod))
			}
		}
		if why, pod := judge.Trouble(pods.Items(), time.Now()); pod != nil {
			return refusal.New("verify.from: the prober's pod does not start: %s%s", why, judge.Diagnose(ctx, pod))
		}
		select {
		case <-ctx.Done():
			return p.unheard(ctx, "does not start")
		case <-changed:
		case <-tick.C:
		}
	}
}

// unheard is that the pod was waited for until ctx ended. Whatever ended it but a
// refusal, such as a shutdown, says nothing of the pod.
func (p *podProber) unheard(ctx context.Context, what string) error {
	cause := context.Cause(ctx)
	if refusal.Is(cause) {
		return refusal.New("verify.from: the prober's pod %s %s: %v", p.place.Name, what, cause)
	}
	return fmt.Errorf("wait for the prober's pod %s: %w", p.place.Name, cause)
}

// attach connects to the prober in the pod.
func (p *podProber) attach(ctx context.Context, token string) error {
	base, transport := p.cluster.PodProxy(p.place.Namespace, p.place.Name, proberPort)
	attached, err := remote.Attach(ctx, remote.Config{URL: base, Transport: transport, Token: token})
	if cause := context.Cause(ctx); err != nil && cause != nil && !refusal.Is(cause) {
		return p.unheard(ctx, "does not answer")
	}
	if err != nil {
		return refusal.New("verify.from: the prober's pod cannot be asked through the API server: %v. "+
			"The account must get and create pods/proxy, and the API server must reach port %d of the pod", err, proberPort)
	}
	p.Remote = attached
	return nil
}

// proberPod is the pod of a task, which lives so long at most. It belongs to the
// task's Secret and goes with it.
func proberPod(secret *corev1.Secret, image string, life time.Duration) (*unstructured.Unstructured, error) {
	yes, no, nobody, seconds, grace := true, false, int64(65532), int64(life.Seconds()), int64(10)
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: secret.Namespace, Name: secret.Name,
			// A mesh would send again what is lost, and an autoscaler that
			// empties a node would end the counting.
			Labels:          map[string]string{"sidecar.istio.io/inject": "false"},
			Annotations:     map[string]string{"linkerd.io/inject": "disabled", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
			OwnerReferences: []metav1.OwnerReference{ownedBy(secret)},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &seconds, TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &nobody, RunAsGroup: &nobody,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
			Containers: []corev1.Container{{
				Name: "prober", Image: image,
				Args:  []string{"agent", "prober", "--listen", ":" + strconv.Itoa(proberPort)},
				Ports: []corev1.ContainerPort{{ContainerPort: proberPort}},
				Env: []corev1.EnvVar{
					{Name: remote.TaskVariable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
						LocalObjectReference: corev1.LocalObjectReference{Name: secret.Name}, Key: taskKey,
					}}},
					{Name: "GOMEMLIMIT", Value: "192MiB"},
				},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Privileged: &no,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
				},
			}},
		},
	}
	maps.Copy(pod.Labels, secret.Labels)
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("write down the prober's pod: %w", err)
	}
	delete(object, "status")
	return &unstructured.Unstructured{Object: object}, nil
}

// stop implements prober. When the pod cannot be asked any more, the last
// lines of its log say what it has counted.
func (p *podProber) stop() pipeline.Verdict {
	// The counts are wanted also when the deployment has just been interrupted.
	ctx, cancel := context.WithTimeout(context.Background(), proberStop)
	defer cancel()
	defer p.remove()
	v, err := p.Stop(ctx)
	if err == nil {
		return v
	}
	last := p.Heard()
	if report, ok := p.logged(); ok && report.Verdict.Requests >= v.Requests {
		v, last = report.Verdict, report.Time
	}
	v.Partial = fmt.Sprintf("the prober's pod was lost (%v): nothing is known of the last %s", err, time.Since(last).Round(time.Second))
	return v
}

// logged is the last report in the pod's log.
func (p *podProber) logged() (remote.Report, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), proberGone)
	defer cancel()
	return lastReport(ctx, p.cluster, p.place)
}

func lastReport(ctx context.Context, cluster *kube.Cluster, place kube.Ref) (remote.Report, bool) {
	text, err := cluster.LogTail(ctx, kube.LogRequest{Namespace: place.Namespace, Pod: place.Name, Container: "prober", Lines: 1})
	if err != nil {
		return remote.Report{}, false
	}
	report, err := remote.ParseReport([]byte(text))
	return report, err == nil
}

// leave implements prober.
func (p *podProber) leave() { p.Detach() }

// rest implements prober.
func (p *podProber) rest(ctx context.Context) error { return p.Rest(ctx) }

// wake implements prober.
func (p *podProber) wake(ctx context.Context) error { return p.Wake(ctx) }

// remove deletes the pod and its Secret. What cannot be deleted now, the next
// deployment deletes.
func (p *podProber) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), proberGone)
	defer cancel()
	removeProber(ctx, p.cluster, p.place, p.log)
}

func removeProber(ctx context.Context, cluster *kube.Cluster, place kube.Ref, log *runbook.Runbook) {
	secret := place
	secret.Kind = "Secret"
	for _, ref := range []kube.Ref{place, secret} {
		if err := cluster.Delete(ctx, ref, ""); err != nil {
			log.Line("probe   %s is left to the next deployment: %s", ref, err)
		}
	}
}

// leftBehind finds the prober that an earlier process of this very deployment
// has left behind, nil when there is none that can still be asked. All others
// of the application are removed.
func leftBehind(ctx context.Context, r *run) prober {
	secrets, err := r.Cluster.Secrets(ctx, r.record.Namespace, proberLabel+"="+r.record.App)
	if err != nil {
		r.log.Line("probe   pods that may be left of earlier deployments cannot be looked for: %s", err)
		return nil
	}
	var found *podProber
	for _, secret := range secrets {
		place := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: secret.Namespace, Name: secret.Name}
		if found == nil && secret.Labels[proberRevisionLabel] == strconv.Itoa(r.record.Revision) {
			if found = reattach(ctx, r, place, secret.Data[taskKey]); found != nil {
				continue
			}
		}
		r.log.Line("probe   pod %s is left of an earlier deployment: removed", place.Name)
		removeProber(ctx, r.Cluster, place, r.log)
	}
	if found == nil {
		return nil
	}
	return found
}

// reattach connects to a prober that goes on, nil when it does not.
func reattach(ctx context.Context, r *run, place kube.Ref, text []byte) *podProber {
	task, err := remote.ParseTask(text)
	if err != nil {
		return nil
	}
	p := &podProber{cluster: r.Cluster, log: r.log, place: place}
	if p.alive(ctx) {
		limited, cancel := context.WithTimeout(ctx, proberStart)
		defer cancel()
		if err := p.attach(limited, task.Token); err == nil {
			return p
		}
	}
	if report, ok := lastReport(ctx, r.Cluster, place); ok {
		r.log.Line("probe   pod %s has ended meanwhile; it had counted: %s", place.Name, report.Verdict)
	}
	return nil
}

// alive tells whether the pod runs and is to go on.
func (p *podProber) alive(ctx context.Context) bool {
	pod, err := p.cluster.Get(ctx, p.place)
	if err != nil || pod.GetDeletionTimestamp() != nil {
		return false
	}
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	return phase == string(corev1.PodRunning)
}

// sweepProbers removes what earlier deployments of the application have left
// of their probers, and returns what the one of this very deployment had
// counted, nil when there is none. Deployments that send no requests of their
// own call it: those that measure nothing, and those that go on with a revert.
func (r *run) sweepProbers(ctx context.Context) *pipeline.Verdict {
	p := leftBehind(ctx, r)
	if p == nil {
		return nil
	}
	v := p.stop()
	v.Hint = keepAliveHint(v)
	return &v
}
