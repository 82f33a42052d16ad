package manifest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

// annotated is an object of a kind with annotations.
func annotated(kind, name string, annotations map[string]string) *unstructured.Unstructured {
	apiVersion := map[string]string{"Job": "batch/v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1"}[kind]
	if apiVersion == "" {
		apiVersion = "v1"
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
	u.SetAnnotations(annotations)
	return u
}

func hookJob(name, when, weight string) *unstructured.Unstructured {
	annotations := map[string]string{HookAnnotation: when}
	if weight != "" {
		annotations[HookWeightAnnotation] = weight
	}
	return annotated("Job", name, annotations)
}

func names(objs []Object) string {
	var all []string
	for _, o := range objs {
		all = append(all, o.GetName())
	}
	return strings.Join(all, " ")
}

func TestHooksAreTakenOutInTheirOrder(t *testing.T) {
	t.Parallel()
	h, err := Hooks(Wrap(
		annotated("Deployment", "web", nil), hookJob("b1", HookBefore, ""), hookJob("b2", HookBefore, ""), hookJob("first", HookBefore, "-5"),
		hookJob("last", HookBefore, "10"), hookJob("after", HookAfter, "1"), hookJob("smoke", HookCheck, ""), annotated("Job", "plain", nil)))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{names(h.Before), names(h.After), names(h.Check), names(h.Rest)}
	if diff := cmp.Diff([]string{"first b1 b2 last", "after", "smoke", "web plain"}, got); diff != "" {
		t.Errorf("hooks (-want +got)\n%s", diff)
	}
}

func TestHooksThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		object *unstructured.Unstructured
		want   string
	}{
		"an unknown moment": {hookJob("x", "befor", ""), `x.yaml:3: Job/x has towline.dev/hook: "befor": did you mean "before"? it must be before, after or check`},
		"no moment":         {hookJob("x", "", ""), `x.yaml:3: Job/x has towline.dev/hook: "": it must be before, after or check`},
		"no Job":            {annotated("Pod", "x", map[string]string{HookAnnotation: "before"}), "x.yaml:3: Pod/x has towline.dev/hook, but only Jobs are run as hooks: make it a Job, or remove the annotation"},
		"a weight of words": {hookJob("x", "before", "heavy"), `x.yaml:3: Job/x has towline.dev/hook-weight: "heavy": it must be a whole number, as a quoted string`},
	} {
		_, err := Hooks([]Object{{Unstructured: tc.object, Source: Source{File: "x.yaml", Line: 3}}})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: error %v, want %s", name, err, tc.want)
		}
	}
}

func jobOf(name string, spec map[string]any) Object {
	u := annotated("Job", name, map[string]string{HookAnnotation: HookBefore})
	u.Object["spec"] = spec
	return Object{Unstructured: u, Source: Source{File: "job.yaml", Line: 1}}
}

func TestUniqueJob(t *testing.T) {
	t.Parallel()
	o := jobOf("migrate", map[string]any{"ttlSecondsAfterFinished": int64(60), "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"restartPolicy": "Never"}}})
	before := o.DeepCopy()
	job, changes, err := UniqueJob(o, JobRun{App: "web", Sequence: 42, Attempt: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, o.Unstructured); diff != "" {
		t.Errorf("the original changed\n%s", diff)
	}
	wantChanges := "completed Job/%[1]s spec.backoffLimit: 0 (a hook that fails is not tried again by itself)\n" +
		"completed Job/%[1]s spec.activeDeadlineSeconds: 600 (a hook that hangs must not hold the deployment for ever)\n" +
		"completed Job/%[1]s spec.ttlSecondsAfterFinished: 60 -> absent (it is kept until its logs are; Towline deletes it)\n"
	if diff := cmp.Diff(fmt.Sprintf(wantChanges, job.GetName()), lines(changes)); diff != "" {
		t.Errorf("changes (-want +got)\n%s", diff)
	}
	if !strings.HasPrefix(job.GetName(), "migrate-42-2-") {
		t.Error(job.GetName())
	}
	labels := map[string]string{JobLabel: "migrate", AppLabel: "web", SequenceLabel: "42", AttemptLabel: "2"}
	if diff := cmp.Diff(labels, job.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
	maps.Copy(labels, map[string]string{"a": "b"})
	if diff := cmp.Diff(labels, TemplateLabels(job.Unstructured)); diff != "" {
		t.Errorf("labels of the pods (-want +got)\n%s", diff)
	}
	if _, ok := valueAt(job.Object, "spec", "ttlSecondsAfterFinished"); ok {
		t.Error("it may vanish before it was read")
	}
}

func TestUniqueJobKeepsTheLimitsOfTheUser(t *testing.T) {
	t.Parallel()
	_, changes, err := UniqueJob(jobOf("x", map[string]any{"backoffLimit": int64(3), "activeDeadlineSeconds": int64(7200)}), JobRun{App: "web", Sequence: 1, Attempt: 1})
	if err != nil || len(changes) > 0 {
		t.Errorf("changes %v, error %v", changes, err)
	}
}

func TestUniqueJobHasANameThatNoOtherRunHas(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 60)
	seen := map[string]string{}
	for _, name := range []string{"a", "a-1", "a.b", "a-1-2", long, long + "b", long + "c", strings.Repeat("x-", 30) + "y"} {
		for _, app := range []string{"web", "till"} {
			for _, run := range []JobRun{{App: app, Sequence: 1, Attempt: 1}, {App: app, Sequence: 1, Attempt: 12}, {App: app, Sequence: 11, Attempt: 2}, {App: app, Sequence: 1 << 62, Attempt: 1 << 30}} {
				what := fmt.Sprintf("%s %v", name, run)
				job, _, err := UniqueJob(jobOf(name, map[string]any{}), run)
				if err != nil {
					t.Fatal(err)
				}
				if other, ok := seen[job.GetName()]; ok {
					t.Errorf("%s and %s are both %s", what, other, job.GetName())
				}
				seen[job.GetName()] = what
				again, _, err := UniqueJob(jobOf(name, map[string]any{}), run)
				if err != nil || again.GetName() != job.GetName() {
					t.Errorf("%s is %s and then %s: %v", what, job.GetName(), again.GetName(), err)
				}
				if wrong := validation.IsDNS1123Subdomain(job.GetName()); len(job.GetName()) > 63 || len(wrong) > 0 {
					t.Errorf("name %s: %v", job.GetName(), wrong)
				}
				for _, value := range job.GetLabels() {
					if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
						t.Errorf("label %q: %v", value, wrong)
					}
				}
			}
		}
	}
}

func TestUniqueJobRefusesWhatWouldNotRun(t *testing.T) {
	t.Parallel()
	generated := jobOf("", map[string]any{})
	generated.SetGenerateName("migrate-")
	for name, o := range map[string]Object{"a generated name": generated, "a suspended Job": jobOf("x", map[string]any{"suspend": true}),
		"no Job": {Unstructured: annotated("Pod", "x", nil)}} {
		if job, _, err := UniqueJob(o, JobRun{App: "web", Sequence: 1, Attempt: 1}); err == nil {
			t.Errorf("%s became %s", name, job.GetName())
		}
	}
}

func TestNameJobs(t *testing.T) {
	t.Parallel()
	plain := func(image string, labels map[string]string) Object {
		u := annotated("Job", "seed", nil)
		u.Object["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "seed", "image": image}}}}}
		u.SetLabels(labels)
		u.SetOwnerReferences(nil)
		return Wrap(u)[0]
	}
	named := func(o Object) string {
		NameJobs([]Object{o})
		return o.GetName()
	}
	one := named(plain("seed:1", nil))
	if !strings.HasPrefix(one, "seed-") || len(one) != len("seed-")+10 {
		t.Fatal(one)
	}
	t.Run("an unchanged Job keeps its name", func(t *testing.T) {
		o := plain("seed:1", nil)
		for range 2 {
			if got := named(o); got != one {
				t.Errorf("%s, first %s", got, one)
			}
		}
		if changes := NameJobs([]Object{o}); len(changes) > 0 {
			t.Errorf("changes %v", changes)
		}
	})
	t.Run("a changed Job is a new one", func(t *testing.T) {
		if other := named(plain("seed:2", nil)); other == one {
			t.Error(other)
		}
	})
	t.Run("hooks and other kinds are left alone", func(t *testing.T) {
		objs := []Object{jobOf("migrate", nil), Wrap(annotated("Deployment", "web", nil))[0]}
		if changes := NameJobs(objs); len(changes) > 0 {
			t.Errorf("changes %v", changes)
		}
	})
	t.Run("names of any length fit and stay apart", func(t *testing.T) {
		a, b := plain("x", nil), plain("x", nil)
		a.SetName(strings.Repeat("a", 80) + "1")
		b.SetName(strings.Repeat("a", 80) + "2")
		if named(a) == named(b) || len(a.GetName()) > 63 {
			t.Errorf("%s and %s", a.GetName(), b.GetName())
		}
	})
	t.Run("the log says why", func(t *testing.T) {
		o := plain("seed:1", nil)
		o.Object["spec"].(map[string]any)["ttlSecondsAfterFinished"] = int64(60)
		got := lines(NameJobs([]Object{o}))
		want := "warning Job/seed spec.ttlSecondsAfterFinished: 60: once it is deleted after that time, the next deployment runs it again, changed or not: leave it out, or make the Job a hook (towline.dev/hook)\n" +
			"completed Job/seed metadata.name: seed -> " + o.GetName() + " (a Job cannot be changed: with other contents it is a new one, and with these it runs once)\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got)\n%s", diff)
		}
	})
}
