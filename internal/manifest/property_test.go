package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

// drawValue is any value that JSON has, as the API machinery holds it.
func drawValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		last := 6
		if depth == 0 {
			last = 4
		}
		switch rapid.IntRange(0, last).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64().Draw(t, "int")
		case 3:
			return rapid.Float64().Filter(func(f float64) bool { return f != float64(int64(f)) }).Draw(t, "float")
		case 4:
			return rapid.String().Draw(t, "string")
		case 5:
			return rapid.SliceOfN(drawValue(depth-1), 0, 4).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.String(), drawValue(depth-1), 0, 4).Draw(t, "map")
	})
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Object {
			body := rapid.MapOfN(rapid.String(), drawValue(3), 0, 5).Draw(t, "body")
			source := Source{}
			if rapid.Bool().Draw(t, "placed") {
				source = Source{File: rapid.StringN(1, 40, -1).Draw(t, "file"), Line: rapid.IntRange(0, 1e6).Draw(t, "line")}
			}
			return Object{Unstructured: &unstructured.Unstructured{Object: body}, Source: source}
		}), 0, 4).Draw(t, "objects")
		text, err := Encode(objs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(text)
		if err != nil {
			t.Fatalf("decode %q: %v", text, err)
		}
		if len(objs) != len(back) {
			t.Fatalf("%d objects became %d", len(objs), len(back))
		}
		if diff := cmp.Diff(objs, back); len(objs) > 0 && diff != "" {
			t.Fatalf("objects (-want +got)\n%s", diff)
		}
	})
}

// drawApp is a Deployment with what a user may or may not have written, and
// the Services, PodDisruptionBudget and autoscaler around it.
func drawApp() *rapid.Generator[[]Object] {
	maybe := func(t *rapid.T, m map[string]any, field string, values ...any) {
		if v := rapid.SampledFrom(append(values, "absent")).Draw(t, field); v != "absent" {
			m[field] = v
		}
	}
	return rapid.Custom(func(t *rapid.T) []Object {
		var cs []any
		for i := range rapid.IntRange(0, 3).Draw(t, "containers") {
			c := map[string]any{"name": fmt.Sprintf("c%d", i)}
			maybe(t, c, "image", "web", "ghcr.io/acme/web:1", "db@sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc")
			maybe(t, c, "ports", []any{map[string]any{"name": "http", "containerPort": int64(8080)}}, []any{"wrong"}, "wrong")
			maybe(t, c, "readinessProbe", map[string]any{"exec": map[string]any{}}, nil)
			maybe(t, c, "lifecycle", nil, "wrong", map[string]any{"postStart": map[string]any{}},
				map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": int64(40)}}},
				map[string]any{"preStop": map[string]any{"exec": map[string]any{"command": []any{"sleep", "15"}}}})
			cs = append(cs, c)
		}
		pod := map[string]any{"containers": cs}
		maybe(t, pod, "terminationGracePeriodSeconds", int64(0), int64(5), int64(15), int64(31), int64(40), int64(600), "30", nil)
		rolling := map[string]any{}
		maybe(t, rolling, "maxUnavailable", int64(0), int64(1), "25%", "0%", nil)
		maybe(t, rolling, "maxSurge", int64(0), int64(1), "25%", "0%", nil)
		spec := map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": pod}}
		maybe(t, spec, "replicas", int64(0), int64(1), int64(3), int64(30), nil)
		maybe(t, spec, "strategy", nil, "wrong", map[string]any{"type": "Recreate"}, map[string]any{"rollingUpdate": rolling}, map[string]any{"type": "RollingUpdate", "rollingUpdate": rolling})
		port := map[string]any{"port": int64(80)}
		maybe(t, port, "targetPort", int64(8080), int64(9090), "http", "other")
		maybe(t, port, "protocol", "TCP", "UDP")
		return Wrap(
			objectOf("apps/v1", "Deployment", spec),
			objectOf("v1", "Service", map[string]any{"selector": map[string]any{"app": rapid.SampledFrom([]any{"web", "other"}).Draw(t, "app")}, "ports": []any{port}}),
			objectOf("policy/v1", "PodDisruptionBudget", map[string]any{"selector": map[string]any{}}),
		)
	})
}

func objectOf(apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "web"}, "spec": spec}}
}

func drawRecipe(t *rapid.T) Recipe {
	seconds := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(0, 60).Draw(t, name)) * time.Second
	}
	return Recipe{
		ReadinessPath: rapid.SampledFrom([]string{"", "/healthz"}).Draw(t, "path"), NoSleepAction: rapid.Bool().Draw(t, "old"),
		Detach: seconds("detach"), LongestRequest: seconds("longest"),
	}
}

// leaves are the values of an object by their path, lists as a whole when
// they hold no mappings.
func leaves(prefix string, value any, into map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for k, item := range v {
			leaves(prefix+"."+k, item, into)
		}
	case []any:
		for i, item := range v {
			leaves(fmt.Sprintf("%s[%d]", prefix, i), item, into)
		}
	case nil:
		// A null is as good as an absent field.
	default:
		text, _ := json.Marshal(v)
		into[prefix] = string(text)
	}
}

// mayChange are the two fields in which Complete overrides the user.
var mayChange = []string{".spec.template.spec.terminationGracePeriodSeconds", ".spec.strategy.rollingUpdate.maxUnavailable"}

func TestCompleteKeepsWhatTheUserWroteAndIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objs, recipe := drawApp().Draw(t, "app"), drawRecipe(t)
		before := Copy(objs)
		first := Complete(objs, recipe)
		checkKept(t, before, objs, first)
		checkServing(t, objs, recipe)
		once := Copy(objs)
		second := Complete(objs, recipe)
		if diff := cmp.Diff(once, objs); diff != "" {
			t.Fatalf("the second time changed (-want +got)\n%s", diff)
		}
		warned := slices.DeleteFunc(first, func(c Change) bool { return c.Kind != Warned })
		if diff := cmp.Diff(warned, second); len(warned)+len(second) > 0 && diff != "" {
			t.Fatalf("the second time says something else (-want +got)\n%s", diff)
		}
	})
}

// checkKept: every field that was there still is, and what changed is said.
func checkKept(t *rapid.T, before, after []Object, changes []Change) {
	for i := range before {
		had, has := map[string]string{}, map[string]string{}
		leaves("", before[i].Object, had)
		leaves("", after[i].Object, has)
		for field, value := range had {
			said := slices.ContainsFunc(changes, func(c Change) bool { return "."+c.Field == field && c.Kind == Completed })
			if has[field] != value && (!slices.Contains(mayChange, field) || !said) {
				t.Fatalf("%s was %s and is %s; changes %v", field, value, has[field], changes)
			}
		}
	}
	changed := slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == Completed })
	if same := cmp.Equal(before, after); same == changed {
		t.Fatalf("objects are the same: %v, changes %v", same, changes)
	}
}

// checkServing: a completed Deployment sleeps before it ends, within its grace
// period.
func checkServing(t *rapid.T, objs []Object, recipe Recipe) {
	if !Selects(objs[1].Unstructured, objs[0].Unstructured) {
		return
	}
	grace := int64(defaultGrace)
	if v, ok := valueAt(objs[0].Object, "spec", "template", "spec", "terminationGracePeriodSeconds"); ok {
		if grace, ok = asInt(v); !ok {
			return
		}
	}
	for _, c := range containers(objs[0].Unstructured) {
		preStop, _ := valueAt(c.value, "lifecycle", "preStop")
		s, known := sleepOf(preStop)
		if !known && !recipe.NoSleepAction && c.value["lifecycle"] != "wrong" {
			t.Fatalf("%s does not sleep: %v", c.field, c.value)
		}
		if known && grace <= s {
			t.Fatalf("%s sleeps %d s of %d s", c.field, s, grace)
		}
	}
}

func TestSetImagesIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objs := drawApp().Draw(t, "app")
		name := rapid.SampledFrom([]string{"web", "db", "c0", "c1", "ghcr.io/acme/web", "none"})
		image := rapid.SampledFrom([]string{"web:2", "reg/other:3", "ghcr.io/acme/web:2", "c0:1"})
		images := rapid.MapOfN(name, image, 0, 3).Draw(t, "images")
		before := Copy(objs)
		if _, err := SetImages(objs, images); err != nil {
			if diff := cmp.Diff(before, objs); diff != "" {
				t.Fatalf("changed in spite of %v (-want +got)\n%s", err, diff)
			}
			return
		}
		once := Copy(objs)
		again, err := SetImages(objs, images)
		if err != nil || len(again) > 0 || !cmp.Equal(once, objs) {
			t.Fatalf("the second time: %v, %v", again, err)
		}
		for _, i := range Images(objs) {
			if strings.TrimSpace(i) == "" {
				t.Fatal("an empty image")
			}
		}
	})
}
