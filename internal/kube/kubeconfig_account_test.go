package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

func TestAccountKubeconfigIsGoodForTheAccountAlone(t *testing.T) {
	t.Parallel()
	cluster := kubetest.Connect(t)
	namespace := kubetest.Namespace(t, cluster)
	for _, text := range []string{
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}`,
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader}, rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]}`,
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader},
			subjects: [{kind: ServiceAccount, name: reader}]}`,
	} {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(namespace)
		if _, err := cluster.Create(t.Context(), &object); err != nil {
			t.Fatal(err)
		}
	}
	text, err := cluster.AccountKubeconfig(t.Context(), kube.Account{Namespace: namespace, Name: "reader"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := kube.Connect(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if reader.Namespace != namespace {
		t.Errorf("the default namespace is %s", reader.Namespace)
	}
	if _, err := reader.Pods(t.Context(), namespace, ""); err != nil {
		t.Errorf("what the account may do: %v", err)
	}
	if _, err := reader.Secrets(t.Context(), namespace, ""); err == nil {
		t.Error("it may do more than the account")
	}
	if _, err := reader.Pods(t.Context(), "kube-system", ""); err == nil {
		t.Error("it may do something elsewhere")
	}
	_, err = cluster.AccountKubeconfig(t.Context(), kube.Account{Namespace: namespace, Name: "nobody"}, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "no service account nobody in namespace "+namespace) {
		t.Errorf("an account that is not there: %v", err)
	}
}
