package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// files is an artifact store of one artifact.
type files map[string]string

func (f files) Unpack(_ context.Context, digest, dir string) error {
	if digest != "sha256:source" {
		return fmt.Errorf("no artifact %s", digest)
	}
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *bundle) job(t *testing.T, configuration pipeline.Deploy) pipeline.Job {
	t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Job{
		Pipeline: "web", Execution: "web-1", Number: 1, Stage: "Deploy", Attempt: 1, Dir: t.TempDir(), Log: b.log, Progress: func(string) {},
		Action:   pipeline.Action{Name: "production", Type: pipeline.ActionType{Category: pipeline.CategoryDeploy, Provider: "Kubernetes"}},
		Revision: pipeline.Revision{Commit: strings.Repeat("a", 40)}, Configuration: text,
		Inputs: []pipeline.Artifact{{Name: "source", Digest: "sha256:source"}, {Name: "app", Digest: "sha256:app"}},
	}
}

func TestAction(t *testing.T) {
	t.Parallel()
	action := func(b *bundle, f files) *Action {
		return &Action{Artifacts: f, Connect: func(string) (*kube.Cluster, error) { return b.cluster, nil }, Config: Config{Recipe: quickRecipe}}
	}
	t.Run("deploys the manifests of the source with the image of an earlier action", func(t *testing.T) {
		b := setup(t)
		image := webImage(t)
		a := action(b, files{"deploy/web.yaml": web("web", 1, "VERSION=1") + ready, "deploy/service.yaml": webService})
		job := b.job(t, pipeline.Deploy{Namespace: b.namespace, Manifests: "deploy/", Images: map[string]string{"web": image}})
		result, err := a.Run(t.Context(), job)
		if err != nil || result.Outcome != pipeline.Succeeded {
			t.Fatalf("%+v, %v", result, err)
		}
		d := result.Deployment
		if d.App != "web" || d.Revision != 1 || d.Images[0] != image || d.Commit != job.Revision.Commit || d.Execution != "web-1" || d.Strategy != "rolling" || d.Method != "api" {
			t.Errorf("deployment %+v", d)
		}
		if result.Variables["URL"] != d.URL || d.URL == "" || !strings.Contains(result.Summary, "rolling · revision 1 · 0 of ") {
			t.Errorf("summary %q, variables %v", result.Summary, result.Variables)
		}
		again, err := a.Run(t.Context(), job)
		if err != nil || again.Outcome != pipeline.Succeeded || again.Deployment.Revision != 1 {
			t.Errorf("the same job again: %+v, %v; want the same revision", again.Deployment, err)
		}
	})
	t.Run("a manifest that is wrong fails with its place", func(t *testing.T) {
		b := setup(t)
		a := action(b, files{"k8s/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n"})
		result, err := a.Run(t.Context(), b.job(t, pipeline.Deploy{Namespace: b.namespace}))
		if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, "k8s/web.yaml:3") {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("an image that no container has fails with the names there are", func(t *testing.T) {
		b := setup(t)
		a := action(b, files{"k8s/web.yaml": fmt.Sprintf(noPods, 1)})
		result, err := a.Run(t.Context(), b.job(t, pipeline.Deploy{Namespace: b.namespace, Images: map[string]string{"wbe": "x@sha256:" + strings.Repeat("0", 64)}}))
		if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, `"wbe"`) || !strings.Contains(result.Message, "web") {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("a name that cannot be the application's says what to set", func(t *testing.T) {
		b := setup(t)
		a := action(b, files{})
		result, err := a.Run(t.Context(), b.job(t, pipeline.Deploy{App: "Web_1"}))
		if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, "Set app in the deploy action") {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("a timeout that is none fails", func(t *testing.T) {
		b := setup(t)
		a := action(b, files{})
		result, err := a.Run(t.Context(), b.job(t, pipeline.Deploy{Timeout: "soon"}))
		if err != nil || result.Outcome != pipeline.Failed || !strings.Contains(result.Message, `timeout: "soon" is not a duration`) {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("a cluster that cannot be had is a fault", func(t *testing.T) {
		b := setup(t)
		a := action(b, files{})
		a.Connect = func(string) (*kube.Cluster, error) { return nil, errors.New("no such context") }
		if _, err := a.Run(t.Context(), b.job(t, pipeline.Deploy{})); err == nil || !strings.Contains(err.Error(), "no such context") {
			t.Errorf("error %v", err)
		}
	})
}
