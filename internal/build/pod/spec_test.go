package pod

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

func newPlan(t *testing.T, wanted pipeline.Pod, of ...build.Service) plan {
	t.Helper()
	b := build.Build{Pipeline: "web", Key: "web-1.Test.1.unit", Timeout: time.Hour, Services: of}
	r := &run{config: Config{Owner: "me", Namespace: "builds", ServiceImages: "mirror.example/"}, build: b, wanted: wanted}
	r.record = r.next()
	p := plan{build: b, wanted: wanted, record: r.record, owner: "me", image: "builder:1", agent: "towline:1"}
	var err error
	if p.services, err = services(of, "mirror.example/", r.record.Passwords); err != nil {
		t.Fatal(err)
	}
	return p
}

func specOf(t *testing.T, p plan) *corev1.Pod {
	t.Helper()
	pod, err := p.spec()
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestSpecGivesNoMoreThanIsAskedFor(t *testing.T) {
	t.Parallel()
	pod := specOf(t, newPlan(t, pipeline.Pod{}, build.Service{Name: "db", Engine: "postgres"}))
	if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		t.Error("a token is mounted")
	}
	if pod.Spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Error("system calls are not filtered")
	}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Privileged != nil && *s.Privileged {
			t.Errorf("container %s may get more rights: %+v", c.Name, s)
			continue
		}
		if diff := cmp.Diff([]corev1.Capability{"ALL"}, s.Capabilities.Drop); diff != "" {
			t.Errorf("container %s drops (-want +got)\n%s", c.Name, diff)
		}
		for _, kept := range s.Capabilities.Add {
			if strings.HasPrefix(string(kept), "SYS_A") || strings.HasPrefix(string(kept), "NET_") && kept != "NET_BIND_SERVICE" {
				t.Errorf("container %s has %s", c.Name, kept)
			}
		}
	}
	if len(pod.Spec.Containers[0].Resources.Limits) > 0 {
		t.Error("there are limits that nobody has asked for")
	}
}

func TestSpecGivesWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newPlan(t, pipeline.Pod{
		CPU: "500m", Memory: "1Gi", NodeSelector: map[string]string{"pool": "builds"}, ServiceAccount: "builder", Privileged: true, Cache: "10Gi",
	})
	p.cacheName = "build-cache-x"
	pod := specOf(t, p)
	main := pod.Spec.Containers[0]
	for _, list := range []corev1.ResourceList{main.Resources.Requests, main.Resources.Limits} {
		if list.Cpu().String() != "500m" || list.Memory().String() != "1Gi" {
			t.Errorf("resources are %v", list)
		}
	}
	if diff := cmp.Diff(map[string]string{"pool": "builds", "kubernetes.io/os": "linux"}, pod.Spec.NodeSelector); diff != "" {
		t.Error("node selector (-want +got)\n", diff)
	}
	if pod.Spec.ServiceAccountName != "builder" || !*pod.Spec.AutomountServiceAccountToken || !*main.SecurityContext.Privileged {
		t.Errorf("got %+v", pod.Spec)
	}
	found := false
	for _, v := range pod.Spec.Volumes {
		found = found || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "build-cache-x"
	}
	if group := pod.Spec.SecurityContext.FSGroup; group == nil {
		t.Error("an image whose user is not root cannot write to the volume")
	}
	claim, err := p.claim()
	if err != nil || !found || claim.Spec.Resources.Requests.Storage().String() != "10Gi" {
		t.Errorf("the volume for caches: %t, %+v, %v", found, claim, err)
	}
}

func TestSpecOfASecondRunAvoidsTheNodeOfTheFirst(t *testing.T) {
	t.Parallel()
	p := newPlan(t, pipeline.Pod{})
	if first := specOf(t, p); first.Spec.Affinity != nil || first.Spec.SecurityContext.FSGroup != nil {
		t.Errorf("the first run: %+v", first.Spec)
	}
	p.record.Avoid = "node-7"
	affinity := specOf(t, p).Spec.Affinity
	if affinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.Fatalf("got %+v: it must run where there is only one node", affinity)
	}
	want := []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"node-7"}}}
	if diff := cmp.Diff(want, affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].Preference.MatchFields); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestSpecTakesTheProgramWhereNoImageHasIt(t *testing.T) {
	t.Parallel()
	p := newPlan(t, pipeline.Pod{}, build.Service{Name: "db", Engine: "postgres"})
	p.agent, p.program, p.arch = "", 1234, "arm64"
	pod := specOf(t, p)
	first := pod.Spec.InitContainers[0]
	if first.Image != p.image || !first.Stdin || !first.StdinOnce || first.Command[4] != "1234" || len(pod.Spec.InitContainers) != 2 {
		t.Errorf("got %+v", first)
	}
	if s := first.SecurityContext; *s.AllowPrivilegeEscalation || len(s.Capabilities.Add) > 0 {
		t.Errorf("it may do %+v", s)
	}
	if pod.Spec.NodeSelector["kubernetes.io/arch"] != "arm64" {
		t.Errorf("it runs on %v", pod.Spec.NodeSelector)
	}
}

func TestSpecNamesWhatIsNoQuantity(t *testing.T) {
	t.Parallel()
	for want, wanted := range map[string]pipeline.Pod{
		`pod.cpu is "two"`: {CPU: "two"}, `pod.memory is "-1Gi"`: {Memory: "-1Gi"}, `pod.memory is "0"`: {Memory: "0"},
	} {
		if _, err := newPlan(t, wanted).spec(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	p := newPlan(t, pipeline.Pod{Cache: "much"})
	if _, err := p.claim(); err == nil || !strings.Contains(err.Error(), `pod.cache is "much"`) {
		t.Errorf("got %v", err)
	}
}

func TestServicesAreSidecarsThatAreReadyBeforeTheBuild(t *testing.T) {
	t.Parallel()
	p := newPlan(t, pipeline.Pod{}, build.Service{Name: "main", Engine: "postgres", Version: "16"}, build.Service{Name: "Second_DB", Engine: "postgres"},
		build.Service{Name: "cache", Engine: "redis"}, build.Service{Name: "old", Engine: "mysql"}, build.Service{Name: "fork", Engine: "mariadb"})
	pod := specOf(t, p)
	var got []string
	for _, c := range pod.Spec.InitContainers[1:] {
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways || c.StartupProbe == nil {
			t.Errorf("container %s is no sidecar with a startup probe", c.Name)
		}
		got = append(got, c.Name+" "+c.Image)
	}
	want := []string{
		"service-main mirror.example/postgres:16", "service-second-db mirror.example/postgres:17", "service-cache mirror.example/redis:7",
		"service-old mirror.example/mysql:8.4", "service-fork mirror.example/mariadb:11.4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	env := variables(p.services)
	for name, want := range map[string]string{"PGPORT": "5432", "MAIN_PGPORT": "5432", "SECOND_DB_PGPORT": "5433", "CACHE_REDIS_PORT": "6379", "OLD_MYSQL_PORT": "3306", "FORK_MYSQL_PORT": "3307"} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if want := "postgres://build:" + p.record.Passwords[0] + "@127.0.0.1:5432/build?sslmode=disable"; env["DATABASE_URL"] != want {
		t.Errorf("DATABASE_URL is %s", env["DATABASE_URL"])
	}
	if _, err := services([]build.Service{{Name: "x", Engine: "oracle"}}, "", []string{""}); err == nil || !strings.Contains(err.Error(), "mariadb, mysql, postgres, redis") {
		t.Errorf("got %v", err)
	}
}

func TestOverTellsWhyAPodIsLost(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	ended := func(reason string, code int32) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: buildContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}}}
	}
	for name, c := range map[string]struct {
		pod  corev1.Pod
		want string // empty: it goes on
	}{
		"a Pod that runs":  {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}, ""},
		"a Pod that waits": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, ""},
		"memory":           {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: ended("OOMKilled", 137)}}, "OOMKilled); give the action more with pod.memory"},
		"a killed runner":  {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: ended("Error", 137)}}, "has ended (Error, exit code 137)"},
		"an eviction":      {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}}, "Evicted: The node was low"},
		"a first container that fails": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: []corev1.ContainerStatus{
			{Name: toolsContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 127}}}}}},
			"which brings Towline, has ended (Error, exit code 127)"},
		"a Pod that is being deleted": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}, "is being deleted"},
		"a node that is drained": {corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}}}}, "EvictionByEvictionAPI"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			why, gone := over(&c.pod)
			if gone != (c.want != "") || !strings.Contains(string(why), c.want) {
				t.Errorf("%t %q, want %q", gone, why, c.want)
			}
		})
	}
}

func TestAPodThatNeverStartsIsGivenUp(t *testing.T) {
	t.Parallel()
	made := time.Unix(1000, 0)
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "build-x", UID: "x", CreationTimestamp: metav1.NewTime(made)}, Status: corev1.PodStatus{
		Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{Name: toolsContainer, State: waiting}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: buildContainer, State: waiting}},
	}}
	w := &watcher{run: &run{config: Config{Starting: time.Minute}}, receives: make(chan struct{}), ready: make(chan struct{})}
	if err := w.judge(t.Context(), pod, &kube.Patience{}, made.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	want := "pod build-x has not started within 1m0s: container towline: ContainerCreating; container build: ContainerCreating"
	if err := w.judge(t.Context(), pod, &kube.Patience{}, made.Add(time.Minute+1)); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestNamesOfPodsAreNamesOfKubernetes(t *testing.T) {
	t.Parallel()
	a, b := build.Build{Key: "Web Shop-1.Test.1.unit"}, build.Build{Key: "Web Shop-1.Test.1.unit2"}
	seen := map[string]bool{}
	for _, name := range []string{name("me", a, 1), name("me", a, 2), name("me", b, 1), name("you", a, 1)} {
		if len(name) > 63 || strings.ToLower(name) != name || seen[name] {
			t.Errorf("name %q", name)
		}
		seen[name] = true
	}
}
