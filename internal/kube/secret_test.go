package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func TestPatchSecretReturnsWhatIsThere(t *testing.T) {
	t.Parallel()
	c := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, c)
	ctx := t.Context()
	first, err := c.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s", Labels: map[string]string{"app": "web"}},
		Data:       map[string][]byte{"kept": []byte("a"), "changed": []byte("b")},
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.PatchSecret(ctx, first, map[string][]byte{"changed": []byte("c"), "added": []byte("d")}, map[string]string{"note": "e"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Secrets(ctx, namespace, "app=web")
	if err != nil || len(found) != 1 {
		t.Fatalf("%d Secrets, want 1: %v", len(found), err)
	}
	if diff := cmp.Diff(&found[0], second); diff != "" {
		t.Errorf("what was returned is not what is there (-there +returned):\n%s", diff)
	}
	if string(first.Data["changed"]) != "b" || len(first.Data) != 2 {
		t.Errorf("the Secret that was given has become %v", first.Data)
	}
	if _, err := c.PatchSecret(ctx, first, map[string][]byte{"changed": []byte("x")}, nil); !kube.IsStale(err) {
		t.Errorf("a patch of what has changed since: %v, want that it is stale", err)
	}
	if _, err := c.PatchSecret(ctx, second, nil, map[string]string{"note": "f"}); err != nil {
		t.Errorf("a patch of what was returned: %v", err)
	}
}
