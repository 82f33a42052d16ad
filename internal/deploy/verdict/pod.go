package verdict

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
	config Config
	place  kube.Ref // of the pod; its Secret has the same name
}

var _ prober = (*podProber)(nil)

// via is the way of its requests, as the verdict has it.
func via(place kube.Ref) string {
	return fmt.Sprintf("pod %s in namespace %s", place.Name, place.Namespace)
}

// fromPod begins to send requests from a pod of the application's namespace.
func (w *Watchman) fromPod(ctx context.Context) (prober, string, error) {
	if w.AgentImage == nil {
		return nil, "", errNoImage()
	}
	image, err := w.AgentImage(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("verify: find the agent's image: %w", err)
	}
	target := w.Verify.URL
	if target == "" {
		target, err = w.Cluster.ClusterURL(ctx, w.Namespace, w.service)
		if _, none := errors.AsType[*kube.NoWayError](err); none {
			return nil, "", refusal.New("verify.from: not from a pod: %v. Set verify.from to proxy, or verify.url", err)
		}
		if err != nil {
			return nil, "", refusal.Or(err, "verify: %v", err)
		}
		if route, err := w.Cluster.ServiceURL(ctx, w.Namespace, w.service); err == nil && route.Public {
			w.public = route.URL + "/"
		}
	}
	config := w.load(target)
	name := fmt.Sprintf("towline-probe-%s-%s", w.App, strings.ToLower(rand.Text()[:6]))
	place := kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: w.Namespace, Name: name}
	task := remote.Task{
		URL: config.URL, Method: config.Method, Header: w.Verify.Header, Body: config.Body, Rate: config.Rate,
		Patience: reachTime, Via: via(place), Token: rand.Text(),
	}
	p := &podProber{config: w.Config, place: place}
	if err := p.begin(ctx, image, task); err != nil {
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
func (p *podProber) begin(ctx context.Context, image string, task remote.Task) error {
	text, err := task.Encode()
	if err != nil {
		return refusal.New("verify: %v", err)
	}
	labels := map[string]string{
		"app.kubernetes.io/managed-by": kube.FieldManager, proberLabel: p.config.App, proberRevisionLabel: strconv.Itoa(p.config.Revision),
	}
	secret, err := p.config.Cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.place.Namespace, Name: p.place.Name, Labels: labels},
		Data:       map[string][]byte{taskKey: []byte(text)},
	})
	if err != nil {
		return refusal.Or(err, "verify.from: the prober's pod gets no Secret for its task: %v", err)
	}
	pod, err := proberPod(secret, image, proberLifeOf(p.config.Longest))
	if err != nil {
		return err
	}
	if err := p.pullable(ctx, secret, pod); err != nil {
		return err
	}
	if _, err := p.config.Cluster.Create(ctx, pod); err != nil {
		return refusal.Or(err, "verify.from: the prober's pod is refused: %v. Set verify.from to proxy or direct to do without one", err)
	}
	p.config.Log.Line("probe   pod %s with image %s   POST /api/v1/namespaces/%s/pods", p.place.Name, image, p.place.Namespace)
	limited, cancel := context.WithTimeoutCause(ctx, proberStart, refusal.Deadline("it has not begun within %s", proberStart))
	defer cancel()
	if err := p.running(limited); err != nil {
		return err
	}
	return p.attach(limited, task.Token)
}

// pullable gives the pod what it needs to pull from Towline's own registry: a
// Secret of its own, which goes with the task's.
func (p *podProber) pullable(ctx context.Context, task *corev1.Secret, pod *unstructured.Unstructured) error {
	objects, _, err := pullsecret.Add([]manifest.Object{{Unstructured: pod}}, pullsecret.Config{App: p.place.Name, Host: p.config.Host, Password: p.config.Password})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, o := range objects[1:] {
		o.SetOwnerReferences([]metav1.OwnerReference{ownedBy(task)})
		if _, err := p.config.Cluster.Create(ctx, o.Unstructured); err != nil {
			return refusal.Or(err, "verify.from: the prober's pod gets no pull secret: %v", err)
		}
	}
	return nil
}

func ownedBy(secret *corev1.Secret) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID}
}

// running waits until the pod runs, and says why it does not.
func (p *podProber) running(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	pods := p.config.Cluster.FollowPods(ctx, kube.Scope{Namespace: p.place.Namespace, Name: p.place.Name, Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	judge := rollout.Pods{Cluster: p.config.Cluster, Unschedulable: p.config.Unschedulable}
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
	base, transport := p.config.Cluster.PodProxy(p.place.Namespace, p.place.Name, proberPort)
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
	return p.config.lastReport(ctx, p.place)
}

func (c Config) lastReport(ctx context.Context, place kube.Ref) (remote.Report, bool) {
	text, err := c.Cluster.LogTail(ctx, kube.LogRequest{Namespace: place.Namespace, Pod: place.Name, Container: "prober", Lines: 1})
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
	p.config.removeProber(ctx, p.place)
}

func (c Config) removeProber(ctx context.Context, place kube.Ref) {
	secret := place
	secret.Kind = "Secret"
	for _, ref := range []kube.Ref{place, secret} {
		if err := c.Cluster.Delete(ctx, ref, ""); err != nil {
			c.Log.Line("probe   %s is left to the next deployment: %s", ref, err)
		}
	}
}
