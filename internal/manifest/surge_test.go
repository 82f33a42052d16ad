package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSetSurge(t *testing.T) {
	t.Parallel()
	app := func() []Object {
		recreated := objectOf("apps/v1", "Deployment", map[string]any{"strategy": map[string]any{"type": "Recreate"}})
		recreated.SetName("recreated")
		return Wrap(objectOf("apps/v1", "Deployment", map[string]any{}), recreated, objectOf("apps/v1", "StatefulSet", map[string]any{}))
	}
	for surge, want := range map[string]any{"1": int64(1), "12": int64(12), "25%": "25%", "200%": "200%"} {
		objs := app()
		changes, err := SetSurge(objs, surge)
		if err != nil {
			t.Errorf("%s: %v", surge, err)
			continue
		}
		if got, _ := valueAt(objs[0].Object, "spec", "strategy", "rollingUpdate", "maxSurge"); got != want {
			t.Errorf("%s: maxSurge %v", surge, got)
		}
		wantLog := "replaced Deployment/web spec.strategy.rollingUpdate.maxSurge: " + surge + " (surge)\n" +
			"warning Deployment/recreated spec.strategy.type: Recreate: a surge of " + surge + " does not apply to it\n"
		if diff := cmp.Diff(wantLog, lines(changes)); diff != "" {
			t.Errorf("%s: changes (-want +got)\n%s", surge, diff)
		}
		if again, err := SetSurge(objs[:1], surge); err != nil || len(again) > 0 {
			t.Errorf("%s: the second time %v, %v", surge, again, err)
		}
	}
	for _, surge := range []string{"0", "0%", "-1", "1.5", "25 %", "%", "all", "99999", " 1", "1%%"} {
		objs := app()
		_, err := SetSurge(objs, surge)
		if err == nil || !strings.Contains(err.Error(), surge) {
			t.Errorf("%q: error %v", surge, err)
		}
		if diff := cmp.Diff(app(), objs); diff != "" {
			t.Errorf("%q: changed in spite of the error\n%s", surge, diff)
		}
	}
	objs := app()
	if changes, err := SetSurge(objs, ""); err != nil || len(changes) > 0 || !cmp.Equal(app(), objs) {
		t.Errorf("nothing asked for: %v, %v", changes, err)
	}
}

func TestRecipeFor(t *testing.T) {
	t.Parallel()
	for version, old := range map[string]bool{"v1.29.9": true, "v1.29.5-eks-1a2b3c": true, "1.28": true, "v1.30.0": false, "v1.30.0-rc.1": false, "v1.34.1+k3s1": false, "v1.37.2": false} {
		recipe, err := RecipeFor(version)
		if err != nil || recipe.NoSleepAction != old {
			t.Errorf("%s: %+v, %v", version, recipe, err)
		}
	}
	if _, err := RecipeFor("latest"); err == nil {
		t.Error("latest is a version")
	}
}

func TestQuotaWarnings(t *testing.T) {
	t.Parallel()
	app := objectOf("apps/v1", "Deployment", map[string]any{
		"replicas": int64(4),
		"strategy": map[string]any{"rollingUpdate": map[string]any{"maxSurge": "30%"}},
		"template": map[string]any{"spec": map[string]any{
			"initContainers": []any{
				map[string]any{"name": "big", "resources": map[string]any{"requests": map[string]any{"cpu": "1"}}},
				map[string]any{"name": "proxy", "restartPolicy": "Always", "resources": map[string]any{"requests": map[string]any{"memory": "32Mi"}}},
			},
			"containers": []any{map[string]any{"name": "web", "resources": map[string]any{"requests": map[string]any{"cpu": "250m"}, "limits": map[string]any{"memory": "96Mi", "cpu": int64(2)}}}},
		}},
	})
	quota := func(hard, used map[string]any) *unstructured.Unstructured {
		u := objectOf("v1", "ResourceQuota", map[string]any{})
		u.Object["status"] = map[string]any{"hard": hard, "used": used}
		return u
	}
	scoped := quota(map[string]any{"pods": "0"}, nil)
	scoped.Object["spec"] = map[string]any{"scopes": []any{"BestEffort"}}
	elsewhere := quota(map[string]any{"pods": "0"}, nil)
	elsewhere.SetNamespace("other")
	for name, tc := range map[string]struct {
		quota      *unstructured.Unstructured
		sideBySide bool
		want       string
	}{
		"enough for the surge":       {quota(map[string]any{"pods": "6", "requests.cpu": "3", "memory": "1Gi"}, map[string]any{"pods": "4", "requests.cpu": "1", "memory": "512Mi"}), false, ""},
		"not enough for another set": {quota(map[string]any{"pods": "6"}, map[string]any{"pods": "4"}), true, "warning ResourceQuota/web spec.hard.pods: 6: leaves 2, but the deployment needs 4 more while old and new pods run: raise it, or the new pods do not start\n"},
		"the init container counts":  {quota(map[string]any{"cpu": "2"}, map[string]any{"cpu": "500m"}), false, "warning ResourceQuota/web spec.hard.cpu: 2: leaves 1500m, but the deployment needs 2 more while old and new pods run: raise it, or the new pods do not start\n"},
		"a limit is a request":       {quota(map[string]any{"requests.memory": "255Mi"}, nil), false, "warning ResourceQuota/web spec.hard.requests.memory: 255Mi: leaves 255Mi, but the deployment needs 256Mi more while old and new pods run: raise it, or the new pods do not start\n"},
		"limits":                     {quota(map[string]any{"limits.cpu": "4"}, map[string]any{"limits.cpu": "1"}), false, "warning ResourceQuota/web spec.hard.limits.cpu: 4: leaves 3, but the deployment needs 4 more while old and new pods run: raise it, or the new pods do not start\n"},
		"what is not asked for":      {quota(map[string]any{"services": "0"}, nil), true, ""},
		"a scoped quota":             {scoped, true, ""},
		"another namespace":          {elsewhere, true, ""},
	} {
		got := lines(QuotaWarnings(Wrap(app), Wrap(tc.quota), tc.sideBySide))
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
