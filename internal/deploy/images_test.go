package deploy

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube/kubetest"
)

// images are the images of this test process and the registry that serves
// them, each made for the first test that needs it.
var images struct {
	registry   *imagetest.Registry
	start      onceErr
	web, agent madeImage
}

// onceErr does something once and keeps how it ended.
type onceErr struct {
	sync.Once
	err error
}

// madeImage is the reference of an image, by digest.
type madeImage struct {
	onceErr
	ref string
}

// get makes the image when it is not there yet.
func (m *madeImage) get(t testing.TB, build func(*imagetest.Registry) (string, error)) string {
	t.Helper()
	images.start.Do(func() {
		// The registry outlives the test that needs it first.
		images.registry, images.start.err = imagetest.Listen(context.Background(), kubetest.Connect(t), "0")
	})
	if images.start.err != nil {
		t.Fatal(images.start.err)
	}
	m.Do(func() { m.ref, m.err = build(images.registry) })
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.ref
}

func closeImages() {
	if images.registry != nil {
		images.registry.Close()
	}
}

// webImage is the test application's image.
func webImage(t testing.TB) string {
	t.Helper()
	return images.web.get(t, publish("web", "testdata/web"))
}

func publish(repository, dir string) func(*imagetest.Registry) (string, error) {
	return func(r *imagetest.Registry) (string, error) { return r.Publish(context.Background(), repository, dir) }
}

// agentImage is the image that carries the agent, made as the product makes it.
func agentImage(t testing.TB) func(context.Context) (string, error) {
	t.Helper()
	ref := images.agent.get(t, func(r *imagetest.Registry) (string, error) {
		program := filepath.Join(t.TempDir(), "towline")
		if err := imagetest.Compile(t.Context(), "../../cmd/towline", program); err != nil {
			return "", err
		}
		return agent.Publish(context.Background(), agent.Target{Reference: r.Host + "/towline-agent", Insecure: true, Executables: []string{program}})
	})
	return func(context.Context) (string, error) { return ref, nil }
}
