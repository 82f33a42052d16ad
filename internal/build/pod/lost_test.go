package pod_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func logHas(t *testing.T, of build.Build, line string, times int) func() bool {
	return func() bool {
		n := 0
		for _, l := range buildtest.Lines(t, of) {
			if l == line {
				n++
			}
		}
		return n >= times
	}
}

// begin runs a build in the background.
func begin(t *testing.T, backend build.Backend, of build.Build) (ended func() (build.Ended, error)) {
	t.Helper()
	type end struct {
		build.Ended
		error
	}
	done := make(chan end, 1)
	go func() {
		e, err := backend.Run(context.WithoutCancel(t.Context()), of)
		done <- end{e, err}
	}()
	return func() (build.Ended, error) { e := <-done; return e.Ended, e.error }
}

// lose makes the API server forget the Pods of builds at once, as when a node
// is gone for good.
func (b *bench) lose(t *testing.T) {
	t.Helper()
	pods, err := b.cluster.Pods(t.Context(), b.namespace, "towline.dev/build")
	if err != nil || len(pods) == 0 {
		t.Fatalf("there are no Pods: %v", err)
	}
	for _, p := range pods {
		if err := b.cluster.DeletePod(t.Context(), p.Namespace, p.Name, p.UID, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALostPodIsRunOnceMoreFromACleanSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	of := buildtest.New(t, "cat kept; ls; echo changed > kept; touch new", "echo waiting", `[ -e /tmp/../run/towline/build/in/again ] || sleep 1000`, "echo done")
	restored := 0
	of.Restore = func(context.Context) error {
		restored++
		in := filepath.Join(of.Dir, build.InputsDir)
		return errors.Join(os.RemoveAll(of.Source), os.MkdirAll(of.Source, 0o755), os.WriteFile(filepath.Join(of.Source, "kept"), []byte("as it was\n"), 0o644),
			os.MkdirAll(in, 0o755), os.WriteFile(filepath.Join(in, "again"), nil, 0o644))
	}
	if err := os.WriteFile(filepath.Join(of.Source, "kept"), []byte("as it was\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ended := begin(t, b.backend(t), of)
	waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
	b.lose(t)
	if _, err := ended(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range buildtest.Lines(t, of) {
		if !strings.HasPrefix(l, "[") && !strings.Contains(l, ", image ") {
			got = append(got, l)
		}
	}
	if len(got) != 8 || !strings.Contains(got[3], "the build begins again") || restored != 1 {
		t.Fatalf("restored %d times, log %q", restored, got)
	}
	got[3] = ""
	if diff := cmp.Diff([]string{"as it was", "kept", "waiting", "", "as it was", "kept", "waiting", "done"}, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	b.none(t)
}

func TestABuildThatIsLostTwiceIsAFault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	of := buildtest.New(t, "echo waiting; sleep 1000")
	ended := begin(t, b.backend(t), of)
	for n := range 2 {
		waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", n+1))
		b.lose(t)
	}
	if _, err := ended(); err == nil || !strings.Contains(err.Error(), "it was lost 2 times") || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("got %v", err)
	}
	b.none(t)
}

// A kernel that kills the whole container takes the runner with it; one that
// kills a process only lets the command fail.
func TestABuildThatUsesTooMuchMemoryIsToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	of := buildtest.New(t, "tail /dev/zero")
	of.Pod = &pipeline.Pod{Memory: "100Mi", CPU: "500m"}
	ended, err := b.backend(t).Run(t.Context(), of)
	p, failed := ended.Failed()
	killed := failed && p.Failure.Exit == 137
	lost := err != nil && strings.Contains(err.Error(), "OOMKilled") && strings.Contains(err.Error(), "pod.memory")
	if killed == lost {
		t.Errorf("got %+v, %v", ended, err)
	}
	b.none(t)
}

func TestWhatCannotStartEndsWithItsCause(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Unschedulable = 2 * time.Second
	quota := `{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: NAMESPACE-q}, spec: {hard: {pods: "0"}}}`
	if _, err := b.cluster.EnsureNamespace(t.Context(), b.namespace+"-q"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ref := kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: b.namespace + "-q"}
		if err := b.cluster.Delete(context.WithoutCancel(t.Context()), ref, ""); err != nil {
			t.Error(err)
		}
	})
	b.make(t, strings.ReplaceAll(quota, "NAMESPACE", b.namespace))
	for name, c := range map[string]struct {
		change func(*build.Build, *pod.Config)
		want   []string
	}{
		"an image that is not there": {
			func(of *build.Build, _ *pod.Config) { of.Pod.Image = b.images.registry.Host + "/no-such:1" }, []string{"no-such:1", "not found", "container build"},
		},
		"a node that is not there": {
			func(of *build.Build, _ *pod.Config) { of.Pod.NodeSelector = map[string]string{"no": "node"} }, []string{"Unschedulable", "node"},
		},
		"a quota":           {func(of *build.Build, _ *pod.Config) { of.Pod.Namespace = b.namespace + "-q" }, []string{"exceeded quota: small"}},
		"a service account": {func(of *build.Build, _ *pod.Config) { of.Pod.ServiceAccount = "nobody" }, []string{`service account`, "nobody", "not found"}},
		"no image":          {func(_ *build.Build, c *pod.Config) { c.Image = "" }, []string{"add pod.image"}},
		"a service that dies": {func(of *build.Build, _ *pod.Config) {
			of.Services = []build.Service{{Name: "db", Engine: "redis", Version: "broken"}}
		}, []string{"container service-db", "redis:broken"}},
		"a shell that is not there": {
			func(of *build.Build, _ *pod.Config) { of.Pod.Image = b.images.agent }, []string{`no shell "sh"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := buildtest.New(t, "echo no")
			of.Pod = &pipeline.Pod{}
			config := b.config
			c.change(&of, &config)
			backend, err := pod.New(config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = backend.Run(t.Context(), of)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
	t.Cleanup(func() { b.none(t) })
}

func (b *bench) make(t *testing.T, text string) {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := b.cluster.Create(t.Context(), &object); err != nil {
		t.Fatal(err)
	}
}

func TestSweepDeletesWhatNobodyCarriesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Young = time.Nanosecond
	other := b.config
	other.Owner = "another-server"
	mine, alive, foreign := buildtest.New(t, "echo waiting; sleep 1000"), buildtest.New(t, "echo waiting; sleep 1000"), buildtest.New(t, "echo waiting; sleep 1000")
	backend := b.backend(t)
	away, leave := context.WithCancelCause(t.Context())
	done := make(chan error, 3)
	for _, of := range []build.Build{mine, alive} {
		go func() { _, err := backend.Run(away, of); done <- err }()
	}
	strange, err := pod.New(other)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, err := strange.Run(away, foreign); done <- err }()
	for _, of := range []build.Build{mine, alive, foreign} {
		waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
	}
	leave(pipeline.ErrShutdown)
	for range 3 {
		if err := <-done; !errors.Is(err, pipeline.ErrShutdown) {
			t.Fatal(err)
		}
	}
	n, err := backend.Sweep(t.Context(), pod.Place{}, func(key string) bool { return key == alive.Key })
	if err != nil || n != 1 {
		t.Errorf("swept %d: %v", n, err)
	}
	waittest.Until(t, "the Pod of a build that nobody carries on is gone", func() bool {
		pods, err := b.cluster.Pods(t.Context(), b.namespace, "towline.dev/build")
		var keys []string
		for _, p := range pods {
			keys = append(keys, p.Annotations["towline.dev/build-key"])
		}
		return err == nil && len(keys) == 2 && !strings.Contains(strings.Join(keys, " "), mine.Key)
	})
}

func TestAPodHasAPullSecretOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var asked []string
	b.config.Pull = func(_ context.Context, images []string) ([]byte, error) {
		asked = images
		return []byte(`{"auths":{"registry.example":{"auth":"dG93bGluZTp4"}}}`), nil
	}
	of := buildtest.New(t, "echo waiting; while [ ! -e go ]; do sleep 0.05; done")
	of.Override = map[string]string{"TOWLINE_TEST_BUILD": of.Dir}
	ended := begin(t, b.backend(t), of)
	waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
	secrets, err := b.cluster.Secrets(t.Context(), b.namespace, "towline.dev/build")
	pods, err2 := b.cluster.Pods(t.Context(), b.namespace, "towline.dev/build")
	if err := errors.Join(err, err2); err != nil || len(secrets) != 1 || len(pods) != 1 {
		t.Fatalf("%d secrets, %d Pods: %v", len(secrets), len(pods), err)
	}
	owners := secrets[0].OwnerReferences
	if len(owners) != 1 || owners[0].UID != pods[0].UID || pods[0].Spec.ImagePullSecrets[0].Name != secrets[0].Name {
		t.Errorf("the secret belongs to %v", owners)
	}
	if diff := cmp.Diff([]string{b.images.agent, b.images.tools}, asked); diff != "" {
		t.Error("asked for (-want +got)\n", diff)
	}
	buildtest.Touch(t, of, "go")
	if _, err := ended(); err != nil {
		t.Fatal(err)
	}
	b.none(t)
	waittest.Until(t, "the secret is gone", func() bool {
		left, err := b.cluster.Secrets(t.Context(), b.namespace, "towline.dev/build")
		return err == nil && len(left) == 0
	})
}
