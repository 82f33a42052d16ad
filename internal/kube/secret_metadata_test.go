package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func TestSecretsMetadataLeavesTheirDataOut(t *testing.T) {
	cluster := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, cluster)
	for _, name := range []string{"a", "b", "c", "other"} {
		kind := corev1.SecretType("towline.dev/test")
		if name == "other" {
			kind = corev1.SecretTypeOpaque
		}
		_, err := cluster.CreateSecret(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"is": name}},
			Type:       kind, Data: map[string][]byte{"key": []byte("value")},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		most int
		want []string
	}{{0, []string{"a", "b", "c"}}, {1, []string{"a"}}} {
		found, err := cluster.SecretsMetadata(t.Context(), kube.SecretQuery{Namespace: namespace, Selector: "app=web", Type: "towline.dev/test", Most: c.most})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, one := range found {
			if one.Annotations["is"] != one.Name {
				t.Errorf("%s has the annotations %v", one.Name, one.Annotations)
			}
			names = append(names, one.Name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
