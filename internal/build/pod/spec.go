package pod

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/pipeline"
)

// What a build's Pod is known by.
const (
	managedLabel   = "app.kubernetes.io/managed-by"
	managedBy      = "towline"
	buildLabel     = "towline.dev/build"    // a hash of the key
	ownerLabel     = "towline.dev/server"   // Config.Owner
	pipelineLabel  = "towline.dev/pipeline" // where it is a label's value
	keyAnnotation  = "towline.dev/build-key"
	markAnnotation = "towline.dev/build-mark"
)

// The containers of a Pod, beside the services'.
const (
	toolsContainer = "towline" // copies this program
	buildContainer = "build"
)

const (
	// grace is how long a Pod may take to end after SIGTERM, in seconds: the
	// commands get some of it to clean up.
	grace = 10
	// leftAlone is how much longer than its build a Pod may live when no server
	// fetches what it has made, in seconds.
	leftAlone = 25 * 60 * 60
	// unreachable is how long a node may be away before its Pods are given up, in
	// seconds; Kubernetes' own default is five minutes.
	unreachable = 60
)

// plan is what the spec of a Pod is made of.
type plan struct {
	build     build.Build
	wanted    pipeline.Pod
	record    record
	owner     string
	image     string // of the build
	agent     string // of Towline, empty when the program is sent
	program   int64  // bytes of the program that is sent
	arch      string // that the program is for
	services  []service
	cacheName string // of the claim for the caches, empty for none
}

// spec makes the Pod. It is pure.
func (p plan) spec() (*corev1.Pod, error) {
	resources, err := p.resources()
	if err != nil {
		return nil, err
	}
	off, graceSeconds := false, int64(grace)
	deadline := int64(p.build.Timeout.Seconds()) + leftAlone
	mount := p.wanted.ServiceAccount != ""
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.record.Pod, Namespace: p.record.Namespace, Labels: labels(p.owner, p.build),
			Annotations: map[string]string{
				keyAnnotation: p.build.Key, markAnnotation: p.record.Mark,
				"kubectl.kubernetes.io/default-container": buildContainer,
				// A build that is moved begins again.
				"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
				"karpenter.sh/do-not-disrupt":                    "true",
			},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, EnableServiceLinks: &off,
			ServiceAccountName: p.wanted.ServiceAccount, AutomountServiceAccountToken: &mount,
			NodeSelector: p.nodeSelector(), Affinity: p.affinity(), Tolerations: tolerations(),
			TerminationGracePeriodSeconds: &graceSeconds, ActiveDeadlineSeconds: &deadline,
			SecurityContext: p.security(),
			InitContainers:  []corev1.Container{p.tools()},
			Containers:      []corev1.Container{p.main(resources)},
			Volumes:         p.volumes(),
		},
	}
	if p.agent == "" {
		pod.Spec.InitContainers[0] = p.receiver()
	}
	for _, s := range p.services {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, s.container())
	}
	return pod, nil
}

func labels(owner string, b build.Build) map[string]string {
	all := map[string]string{managedLabel: managedBy, buildLabel: hash(owner, b.Key), ownerLabel: owner}
	if labelForm.MatchString(b.Pipeline) {
		all[pipelineLabel] = b.Pipeline
	}
	return all
}

// labelForm is that of labels' values.
var labelForm = regexp.MustCompile(`^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)

func (p plan) nodeSelector() map[string]string {
	selector := map[string]string{corev1.LabelOSStable: "linux"}
	if p.arch != "" {
		selector[corev1.LabelArchStable] = p.arch
	}
	maps.Copy(selector, p.wanted.NodeSelector)
	return selector
}

// affinity keeps a second run away from the node that the first was lost on,
// which may not have been found out to be ill yet: where there is another.
func (p plan) affinity() *corev1.Affinity {
	if p.record.Avoid == "" {
		return nil
	}
	const most = 100
	elsewhere := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
		{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpNotIn, Values: []string{p.record.Avoid}},
	}}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: most, Preference: elsewhere}},
	}}
}

// cacheGroup may write to the volume of the caches: an image's user may be any.
const cacheGroup = 65532

// security is what all containers of the Pod have in common.
func (p plan) security() *corev1.PodSecurityContext {
	all := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if p.cacheName != "" {
		group, once := int64(cacheGroup), corev1.FSGroupChangeOnRootMismatch
		all.FSGroup, all.FSGroupChangePolicy = &group, &once
	}
	return all
}

func tolerations() []corev1.Toleration {
	seconds := int64(unreachable)
	var all []corev1.Toleration
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		all = append(all, corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
	}
	return all
}

// resources are what the build asks for and may use at most.
func (p plan) resources() (corev1.ResourceRequirements, error) {
	list := corev1.ResourceList{}
	for _, r := range []struct {
		name    corev1.ResourceName
		of      string
		example string
	}{{corev1.ResourceCPU, p.wanted.CPU, "2 or 500m"}, {corev1.ResourceMemory, p.wanted.Memory, "2Gi"}} {
		if r.of == "" {
			continue
		}
		quantity, err := resource.ParseQuantity(r.of)
		if err != nil || quantity.Sign() <= 0 {
			return corev1.ResourceRequirements{}, fmt.Errorf("pod.%s is %q, which is no quantity of Kubernetes such as %s", r.name, r.of, r.example)
		}
		list[r.name] = quantity
	}
	if len(list) == 0 {
		return corev1.ResourceRequirements{}, nil
	}
	return corev1.ResourceRequirements{Requests: list, Limits: list}, nil
}

// tools is the container that copies this program into the Pod.
func (p plan) tools() corev1.Container {
	off, on := false, true
	return corev1.Container{
		Name: toolsContainer, Image: p.agent, Args: []string{"agent", "install", runner.Bin},
		VolumeMounts: []corev1.VolumeMount{{Name: "bin", MountPath: runner.Bin}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &off, ReadOnlyRootFilesystem: &on, RunAsNonRoot: &on,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// capabilities are those that builds use as root of their image: package
// managers give files to users, and start programs as them.
var capabilities = []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"}

// main is the container of the build, as its image's user.
func (p plan) main(resources corev1.ResourceRequirements) corev1.Container {
	c := corev1.Container{
		Name: buildContainer, Image: p.image, Command: []string{runner.Bin + "/towline", "agent", "build"},
		WorkingDir: runner.Mount, Resources: resources,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "bin", MountPath: runner.Bin, ReadOnly: true}, {Name: "build", MountPath: runner.Mount}, {Name: "tmp", MountPath: "/tmp"},
		},
		SecurityContext: restricted(capabilities),
	}
	if p.cacheName != "" {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "cache", MountPath: runner.Cache})
	}
	if p.wanted.Privileged {
		on := true
		c.SecurityContext = &corev1.SecurityContext{Privileged: &on, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}
	}
	return c
}

// restricted lets a container have these capabilities at most, and its programs
// no more rights than it has itself.
func restricted(keep []corev1.Capability) *corev1.SecurityContext {
	off := false
	return &corev1.SecurityContext{
		Privileged: &off, AllowPrivilegeEscalation: &off,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: keep},
	}
}

func (p plan) volumes() []corev1.Volume {
	var all []corev1.Volume
	for _, name := range []string{"bin", "build", "tmp"} {
		all = append(all, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	if p.cacheName != "" {
		claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.cacheName}
		all = append(all, corev1.Volume{Name: "cache", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: claim}})
	}
	return all
}

// claim is the volume that the builds of a pipeline keep their caches in.
func (p plan) claim() (*corev1.PersistentVolumeClaim, error) {
	size, err := resource.ParseQuantity(p.wanted.Cache)
	if err != nil || size.Sign() <= 0 {
		return nil, fmt.Errorf("pod.cache is %q, which is no size of Kubernetes such as 10Gi", p.wanted.Cache)
	}
	kept := labels(p.owner, p.build)
	delete(kept, buildLabel)
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: p.cacheName, Namespace: p.record.Namespace, Labels: kept},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}, nil
}

// greeting is the first line of the log.
func (p plan) greeting() string {
	words := []string{"pod backend: Pod " + p.record.Namespace + "/" + p.record.Pod, "image " + p.image}
	if p.wanted.CPU != "" {
		words = append(words, p.wanted.CPU+" CPU")
	}
	if p.wanted.Memory != "" {
		words = append(words, p.wanted.Memory+" memory")
	}
	if p.wanted.Privileged {
		words = append(words, "privileged: not isolated from its node")
	}
	if p.record.Run > 1 {
		words = append(words, "run "+strconv.Itoa(p.record.Run))
	}
	return strings.Join(words, ", ")
}

func (r *run) namespace() string { return cmp.Or(r.wanted.Namespace, r.config.Namespace) }
