package kube_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/waittest"
)

func TestAMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	applyAll(t, admin(t, s), "{apiVersion: v1, kind: Namespace, metadata: {name: denied}}")
	credential := tokenOf(s, staticToken)
	cluster := open(t, credential)
	t.Run("of a write", func(t *testing.T) {
		t.Parallel()
		deployment := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "denied", "name": "web"}}}
		_, err := cluster.Apply(t.Context(), deployment, kube.ApplyOptions{})
		mustExplain(t, err, credential, []string{`user "alice" may not patch deployments.apps in namespace denied (object "web")`, "towline cluster test"})
		if !kube.Refused(err) {
			t.Error("it is no refusal any more")
		}
	})
	t.Run("of a watch", func(t *testing.T) {
		t.Parallel()
		changed := make(chan struct{}, 1)
		follower := cluster.FollowPods(t.Context(), kube.Scope{Namespace: "denied", Changed: func() { changed <- struct{}{} }})
		waittest.Until(t, "the watch is refused", func() bool { return follower.Err() != nil })
		// It lists by a watch first, and by a list when it may not watch.
		mustExplain(t, follower.Err(), credential, []string{`user "alice" may not `, ` pods in namespace denied: bind its user a Role`})
	})
	t.Run("of the whole cluster", func(t *testing.T) {
		t.Parallel()
		_, err := cluster.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Node"}, "", "")
		mustExplain(t, err, credential, []string{`user "alice" may not list nodes in the whole cluster`})
	})
}

// roles is the example of the documentation.
func roles(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploying/clusters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- rights -->\n```yaml\n")
	yaml, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/deploying/clusters.md has no YAML after <!-- rights -->")
	}
	return strings.TrimSpace(yaml)
}

func TestTheDocumentedRoleIsEnough(t *testing.T) {
	t.Parallel()
	s := apiServer(t)
	ctx := t.Context()
	applyAll(t, admin(t, s), "{apiVersion: v1, kind: Namespace, metadata: {name: web}}")
	cluster := open(t, tokenOf(s, serviceAccount(t, s, "web", "towline")))
	before, err := cluster.MissingRights(ctx, "web", kube.DeploymentRights())
	if diff := cmp.Diff(kube.DeploymentRights(), before); err != nil || diff != "" {
		t.Errorf("before, all are missing: %v (-want +got):\n%s", err, diff)
	}
	applyAll(t, admin(t, s), roles(t))
	for namespace, wanted := range map[string][]kube.Right{"web": kube.DeploymentRights(), "": kube.HelpfulRights()} {
		// The API server takes a moment to hear of its own roles.
		waittest.Until(t, fmt.Sprintf("nothing is missing in %q", namespace), func() bool {
			missing, err := cluster.MissingRights(ctx, namespace, wanted)
			return err == nil && len(missing) == 0
		})
	}
	t.Run("and not more", func(t *testing.T) {
		for _, right := range []kube.Right{
			{Verb: "create", Resource: "pods", Subresource: "exec"}, {Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
			{Verb: "impersonate", Resource: "users"}, {Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
		} {
			if missing, err := cluster.MissingRights(ctx, "web", []kube.Right{right}); err != nil || len(missing) != 1 {
				t.Errorf("it may %s: %v", right, err)
			}
		}
		if missing, err := cluster.MissingRights(ctx, "default", kube.DeploymentRights()); err != nil || len(missing) != len(kube.DeploymentRights()) {
			t.Errorf("it may something in another namespace: only %d are missing, %v", len(missing), err)
		}
	})
	t.Run("one that is taken away is named", func(t *testing.T) {
		applyAll(t, admin(t, s), strings.Replace(roles(t), "deployments/scale", "deployments/status", 1))
		var missing []kube.Right
		waittest.Until(t, "a right is missing", func() (ok bool) {
			missing, err = cluster.MissingRights(ctx, "web", kube.DeploymentRights())
			return err == nil && len(missing) > 0
		})
		var got []string
		for _, right := range missing {
			got = append(got, right.String())
		}
		want := []string{"get deployments.apps/scale", "update deployments.apps/scale", "patch deployments.apps/scale"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, missing (-want +got):\n%s", err, diff)
		}
	})
}
