package pod_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == runnerCommand {
		os.Exit(host.RunnerMain(context.Background(), os.Args[2]))
	}
	if len(os.Args) == 4 && os.Args[1] == superviseCommand {
		os.Exit(supervise(os.Args[2], os.Args[3]))
	}
	if order := os.Getenv(serverOrder); order != "" {
		os.Exit(serve(order))
	}
	flag.Parse()
	// Pods are waited for most of the time, and the node has room for some.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	code := m.Run()
	if made.registry != nil {
		made.registry.Close()
	}
	os.Exit(code)
}

// bench is a backend with a namespace of its own.
type bench struct {
	cluster   *kube.Cluster
	namespace string
	images    images
	config    pod.Config
}

func setup(tb testing.TB) *bench {
	tb.Helper()
	cluster := kubetest.Connect(tb)
	images := imagesFor(tb)
	return benchOn(cluster, images, kubetest.Namespace(tb, cluster))
}

func benchOn(cluster *kube.Cluster, images images, namespace string) *bench {
	b := &bench{cluster: cluster, images: images, namespace: namespace}
	b.config = pod.Config{
		Connect:    func(context.Context, string) (*kube.Cluster, error) { return b.cluster, nil },
		AgentImage: func(context.Context) (string, error) { return b.images.agent, nil },
		Owner:      b.namespace, Image: b.images.tools, Namespace: b.namespace, ServiceImages: b.images.services,
	}
	return b
}

func (b *bench) backend(tb testing.TB) *pod.Backend {
	tb.Helper()
	backend, err := pod.New(b.config)
	if err != nil {
		tb.Fatal(err)
	}
	return backend
}

// none fails when a Pod of a build is left after a moment.
func (b *bench) none(tb testing.TB) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context()) // it may be a clean-up
	left := []string{}
	none := waittest.Poll(ctx, func() bool {
		pods, err := b.cluster.Pods(ctx, b.namespace, "towline.dev/build")
		if err != nil {
			tb.Fatal(err)
		}
		left = left[:0]
		for _, p := range pods {
			left = append(left, p.Name)
		}
		return len(left) == 0
	})
	if !none {
		tb.Fatal("Pods are left: ", left)
	}
}

func TestPodIsABackend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("suite", func(t *testing.T) {
		buildtest.RunWith(t, buildtest.Options{Backend: b.backend(t), Elsewhere: true, Prepare: func(of *build.Build) {
			of.Compute, of.Pod = pipeline.ComputePod, &pipeline.Pod{}
			for i, s := range of.Services {
				if s.Engine == pipeline.EnginePostgres {
					of.Services[i].Version = postgresVersion
				}
			}
		}})
	})
	b.none(t)
}
