package manifest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed is an object in one line, for tables.
func listed(objs []Object) []string {
	var lines []string
	for _, o := range objs {
		lines = append(lines, fmt.Sprintf("%s at %s", Ref(o.Unstructured), o.Source))
	}
	return lines
}

func TestLoadReadsADirectory(t *testing.T) {
	t.Parallel()
	objs, err := Load("testdata", "plain/")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ConfigMap/one at plain/list.yml:4",
		"ConfigMap/two at plain/list.yml:10",
		"ResourceQuota/quota at plain/quota.json:1",
		"ServiceAccount/web at plain/quota.json:6",
		"Deployment/web at plain/web.yaml:2",
		"Service/web at plain/web.yaml:24",
	}
	if diff := cmp.Diff(want, listed(objs)); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
}

func TestLoadBuildsKustomizations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, path string
		want       []string
	}{
		{"a base", "kustomize/base", []string{
			"ServiceAccount/the-account at kustomize/base/service.yaml:3",
			"ConfigMap/the-map-hbf2f2f9c2 at kustomize/base/kustomization.yaml",
			"Service/the-service at kustomize/base/service.yaml:8",
			"Deployment/the-deployment at kustomize/base/deployment.yaml:1",
		}},
		{"an overlay, by its file", "kustomize/staging/kustomization.yaml", []string{}},
		{"an overlay with a component, a patch in place and a secret", "kustomize/production", []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			objs, err := Load("testdata", tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, listed(objs)); diff != "" {
				t.Errorf("objects (-want +got)\n%s", diff)
			}
			text, _ := Encode(objs)
			t.Logf("%s", text)
		})
	}
}
