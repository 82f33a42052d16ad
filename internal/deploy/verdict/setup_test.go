package verdict

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/kube/kubetest"
)

// No more tests run at a time than there are processors: they count losses, and
// the load alone would lose requests.
func TestMain(m *testing.M) {
	code := m.Run()
	if shared.registry != nil {
		shared.registry.Close()
	}
	os.Exit(code)
}

// images are those of this test process, made for the first test that needs
// them and served until the last one has ended.
type images struct {
	once     sync.Once
	err      error
	registry *imagetest.Registry
	relay    string // leads out of the cluster; reference by digest
	agent    string // carries the agent, made as the product makes it; likewise
}

var shared images

func madeImages(t *testing.T) *images {
	t.Helper()
	cluster := kubetest.Connect(t)
	shared.once.Do(func() { shared.err = shared.make(cluster, t.TempDir()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &shared
}

func (i *images) make(cluster *kube.Cluster, dir string) (err error) {
	ctx := context.Background() // The registry outlives the test that needs it first.
	if i.registry, err = imagetest.Listen(ctx, cluster, "0"); err != nil {
		return err
	}
	if i.relay, err = i.registry.Publish(ctx, "relay", "testdata/relay"); err != nil {
		return err
	}
	program := filepath.Join(dir, "towline")
	if err := imagetest.Compile(ctx, "../../../cmd/towline", program); err != nil {
		return err
	}
	i.agent, err = agent.Publish(ctx, agent.Target{Reference: i.registry.Host + "/towline-agent", Insecure: true, Executables: []string{program}})
	return err
}

func (i *images) agentImage(context.Context) (string, error) { return i.agent, nil }
