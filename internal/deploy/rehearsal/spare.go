package rehearsal

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/manifest"
)

// ownLife is after how many seconds a spare pod ends by itself, should nobody
// be left to remove it.
const ownLife = 900

// defaultGrace is what Kubernetes gives a pod that asks for nothing.
const defaultGrace = 30 * time.Second

// quickDetach is the detach time of a draining proxy in a rehearsal: the
// clients are few and know nothing of endpoints.
const quickDetach = time.Second

// spareRequest is what a spare pod is made of.
type spareRequest struct {
	Template  corev1.PodTemplateSpec
	App       string
	Namespace string
	Port      int
	Selectors []labels.Selector // that must not select it
}

// spare is a spare pod, and what of the template it leaves out.
type spare struct {
	pod       *corev1.Pod
	container string        // that answers the requests
	preStop   time.Duration // of the template
	grace     time.Duration // of the template
	own       time.Duration // the grace period of the spare pod
	proxied   bool
}

// newSpare makes a pod of the template that differs from those of the set
// where it must only: nobody selects it, it takes no port of its node, it does
// not sleep before it is told to end, and it ends by itself some day.
func newSpare(q spareRequest) spare {
	t := q.Template.DeepCopy()
	s := spare{grace: graceOf(t.Spec), container: answering(t.Spec, q.Port), proxied: proxied(t.Spec)}
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: q.Namespace, Name: spareName(q.App),
			Labels: unselected(t.Labels, q.Selectors), Annotations: t.Annotations,
		},
		Spec: t.Spec,
	}
	pod.Labels[Label] = labelValue(q.App)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			s.preStop = max(s.preStop, wakeUp(&list[i]))
		}
	}
	s.own = s.grace
	if !s.proxied {
		s.own = max(time.Second, s.grace-s.preStop)
	}
	seconds, life := int64(s.own/time.Second), int64(ownLife)
	pod.Spec.TerminationGracePeriodSeconds, pod.Spec.ActiveDeadlineSeconds = &seconds, &life
	s.pod = pod
	return s
}

// object is the pod as it is applied.
func (s spare) object() (*unstructured.Unstructured, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.pod)
	if err != nil {
		return nil, err
	}
	delete(object, "status")
	return &unstructured.Unstructured{Object: object}, nil
}

func graceOf(spec corev1.PodSpec) time.Duration {
	if spec.TerminationGracePeriodSeconds == nil {
		return defaultGrace
	}
	return time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
}

// answering is the container that declares the port, else the first.
func answering(spec corev1.PodSpec, port int) string {
	for _, c := range spec.Containers {
		if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return int(p.ContainerPort) == port }) {
			return c.Name
		}
	}
	if len(spec.Containers) == 0 {
		return ""
	}
	return spec.Containers[0].Name
}

func proxied(spec corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == manifest.DrainContainer })
}

// wakeUp takes out of a container what only waits before its end, and returns
// how long that is. A preStop that does something is a part of the end and
// stays. Ports of the node are given up.
func wakeUp(c *corev1.Container) (slept time.Duration) {
	for i := range c.Ports {
		c.Ports[i].HostPort = 0
	}
	if c.Name == manifest.DrainContainer {
		return quicken(c)
	}
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return 0
	}
	handler, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.Lifecycle.PreStop)
	if err != nil {
		return 0
	}
	seconds, only := manifest.OnlySleeps(handler)
	if !only {
		return 0
	}
	c.Lifecycle.PreStop = nil
	return time.Duration(seconds) * time.Second
}

// quicken shortens the detach time of a draining proxy, and returns what it
// was.
func quicken(c *corev1.Container) (detach time.Duration) {
	const flag = "--detach="
	for i, arg := range c.Args {
		if text, ok := strings.CutPrefix(arg, flag); ok {
			detach, _ = time.ParseDuration(text)
			c.Args[i] = flag + min(detach, quickDetach).String()
		}
	}
	return detach
}

// unselected are the labels, but for as few as possible that had to change so
// that no selector selects them. What goes by the others, such as a network
// policy, goes on to.
func unselected(given map[string]string, selectors []labels.Selector) map[string]string {
	kept := map[string]string{}
	maps.Copy(kept, given)
	delete(kept, "pod-template-hash")
	for {
		// The label that most selectors ask for goes first.
		asked := map[string]int{}
		for _, s := range selectors {
			if s.Empty() || !s.Matches(labels.Set(kept)) {
				continue
			}
			requirements, _ := s.Requirements()
			for _, r := range requirements {
				if _, ok := kept[r.Key()]; ok {
					asked[r.Key()]++
				}
			}
		}
		if len(asked) == 0 {
			return kept
		}
		keys := slices.Sorted(maps.Keys(asked))
		most := slices.MaxFunc(keys, func(a, b string) int { return asked[a] - asked[b] })
		delete(kept, most)
	}
}

func spareName(app string) string {
	const longest = 63 - len("-rehearsal-12345")
	name := strings.ReplaceAll(strings.ToLower(labelValue(app)), "_", "-")
	name = strings.TrimRight(name[:min(len(name), longest)], "-.")
	return name + "-rehearsal-" + strings.ToLower(rand.Text()[:5])
}

// labelValue is the name of an application as the value of a label.
func labelValue(app string) string {
	value := strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-._", r)) {
			return r
		}
		return '-'
	}, app)
	return strings.Trim(value[:min(len(value), 63)], "-._")
}
