package pod_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
	"github.com/towline/towline/internal/waittest"
)

// superviseCommand makes the test binary the supervisor of a cluster.
const superviseCommand = "supervise"

func supervise(name, dir string) int {
	c, err := localkube.New(localkube.Config{Name: name, Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err == nil {
		err = c.Supervise(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// twoNodes is a cluster of the test's own, whose nodes it may lose.
func twoNodes(t *testing.T) (*localkube.Cluster, *kube.Cluster) {
	t.Helper()
	const name = "test-nodes"
	dir := filepath.Join("/var/lib/towline/test", name)
	c, err := localkube.New(localkube.Config{Name: name, Dir: dir, Nodes: 2, Supervisor: []string{os.Args[0], superviseCommand, name, dir}})
	if err != nil {
		t.Fatal(err)
	}
	down := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if err := c.Down(ctx); err != nil {
			t.Error(err)
		}
		_ = os.Remove(filepath.Dir(dir)) // unless another test has a cluster in it
	}
	down() // A killed test may have left it.
	t.Cleanup(down)
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Connect(c.Kubeconfig(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c, cluster
}

// TestABuildGoesOnWithoutItsNode takes the node from a build, in a cluster that
// has another: by a taint, as an operator does, and by its cable.
func TestABuildGoesOnWithoutItsNode(t *testing.T) {
	t.Parallel()
	images := imagesFor(t)
	local, cluster := twoNodes(t)
	// The nodes of one cluster reach the registry that stands beside another.
	if err := local.TrustRegistry(t.Context(), images.registry.Host, "http://"+images.registry.Host, ""); err != nil {
		t.Fatal(err)
	}
	b := benchOn(cluster, images, "builds")
	b.config.Silence, b.config.Ending = 3*time.Second, 3*time.Second
	for _, c := range []struct {
		name       string
		take, give func(t *testing.T, node string)
		want       string
	}{
		{
			"that an operator empties",
			func(t *testing.T, node string) { kubectl(t, local, "", "taint", "node", node, "test=gone:NoExecute") },
			func(t *testing.T, node string) { kubectl(t, local, "", "taint", "node", node, "test-") },
			"DeletionByTaintManager",
		},
		{
			"that is not heard of any more",
			func(t *testing.T, node string) { must(t, local.CutOff(numberOf(t, node))) },
			func(t *testing.T, node string) { must(t, local.Rejoin(numberOf(t, node))) },
			"has not answered for",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := buildtest.New(t, "echo waiting; while [ ! -e go ]; do sleep 0.1; done; echo done")
			of.Override = map[string]string{"TOWLINE_TEST_BUILD": of.Dir}
			ended := begin(t, b.backend(t), of)
			waittest.Until(t, "the build is waiting", logHas(t, of, "waiting", 1))
			first := b.node(t)
			c.take(t, first)
			waittest.Until(t, "the build is waiting once more", logHas(t, of, "waiting", 2))
			if second := b.node(t); second == first {
				t.Errorf("it runs on %s again", first)
			}
			buildtest.Touch(t, of, "go")
			if _, err := ended(); err != nil {
				t.Error(err)
			}
			if log := strings.Join(buildtest.Lines(t, of), "\n"); !strings.Contains(log, c.want) || !strings.HasSuffix(log, "\ndone") {
				t.Errorf("the log has no %q:\n%s", c.want, log)
			}
			c.give(t, first)
			waittest.Until(t, "what went on there is ended once the node is heard of again", func() bool {
				return len(buildtest.Leftovers(t, "TOWLINE_TEST_BUILD="+of.Dir)) == 0
			})
		})
	}
}

// node is the one that the present build's Pod is on.
func (b *bench) node(t *testing.T) string {
	t.Helper()
	pods, err := b.cluster.Pods(t.Context(), b.namespace, "towline.dev/build")
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for _, p := range pods {
		if p.DeletionTimestamp == nil {
			nodes[p.Spec.NodeName] = true
		}
	}
	if len(nodes) != 1 {
		t.Fatalf("the builds' Pods are on the nodes %v", nodes)
	}
	return slices.Collect(maps.Keys(nodes))[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func numberOf(t *testing.T, node string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(node, "node%d", &n); err != nil {
		t.Fatalf("node %q has no number: %v", node, err)
	}
	return n
}

// kubectl calls the cluster's own kubectl.
func kubectl(t *testing.T, c *localkube.Cluster, stdin string, args ...string) string {
	t.Helper()
	path, err := c.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
