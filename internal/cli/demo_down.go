package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/towline/towline/internal/app"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// demoNamespace is where the example's manifests go.
const demoNamespace = "web"

// traces is what the demo leaves outside its data directory, written down
// before it is made so that demo down can remove it.
type traces struct {
	// OwnCluster is true when the demo brought the local cluster up, and so
	// may take it down.
	OwnCluster bool   `json:"ownCluster"`
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Context    string `json:"context,omitempty"`
	// KeepNamespace is true when the namespace that the demo uses was there
	// before it, with what else may be in it.
	KeepNamespace bool `json:"keepNamespace,omitempty"`
}

func tracesFile(data string) string { return filepath.Join(demoData(data), "traces.json") }

func (t traces) save(data string) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	path := tracesFile(data)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// loadTraces is empty when no demo has run.
func loadTraces(data string) (t traces, err error) {
	text, err := os.ReadFile(tracesFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", tracesFile(data), err)
	}
	return t, err
}

// demoDown stops the server, removes what was deployed (with the cluster, if
// the demo brought that up), and removes the data. It is right in any
// condition, also when nothing runs.
func (c *command) demoDown(ctx context.Context) error {
	data := demoData(c.data)
	left, err := loadTraces(c.data)
	if err != nil {
		return err
	}
	if err := stopServer(ctx, data); err != nil {
		return err
	}
	if left.OwnCluster {
		cluster, err := c.cluster(localkube.Config{Name: localkube.DefaultName})
		if err != nil {
			return err
		}
		if err := cluster.Down(ctx); err != nil {
			return err
		}
	}
	var stays error
	switch {
	case left.KeepNamespace:
		fmt.Fprintf(c.Err, "Namespace %s was there before the demo and stays, with what the demo deployed to it.\n", demoNamespace)
	case !left.OwnCluster && (left.Kubeconfig != "" || left.Context != ""):
		// A cluster that is gone must not keep the rest from going.
		if err := removeNamespace(ctx, left); err != nil {
			stays = fmt.Errorf("remove what the demo deployed: %w\nif that cluster is still there, remove it with: kubectl delete namespace %s", err, demoNamespace)
		}
	}
	if err := errors.Join(os.RemoveAll(data), host.RemoveMountPoint()); err != nil {
		return err
	}
	// Only when the demo was all that was there.
	if err := os.Remove(c.data); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	if stays != nil {
		return stays
	}
	fmt.Fprintln(c.Err, "The demo is gone.")
	return nil
}

// namespaceStands says whether the demo's namespace is in the cluster and is
// not about to go.
func namespaceStands(ctx context.Context, where traces) (bool, error) {
	cluster, err := kube.Connect(where.Kubeconfig, where.Context)
	if err != nil {
		return false, err
	}
	if _, err := cluster.Ping(ctx); err != nil {
		return false, err
	}
	namespace, err := cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: demoNamespace})
	if kube.IsNotFound(err) {
		return false, nil
	}
	return err == nil && namespace.GetDeletionTimestamp() == nil, err
}

// removeNamespace deletes the demo's namespace from a cluster that stays.
func removeNamespace(ctx context.Context, left traces) error {
	cluster, err := kube.Connect(left.Kubeconfig, left.Context)
	if err != nil {
		return err
	}
	if _, err := cluster.Ping(ctx); err != nil {
		return err
	}
	return cluster.Delete(ctx, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: demoNamespace}, "")
}

// serverStopsWithin bounds the wait for a server, which waits for its requests
// and its actions itself.
const serverStopsWithin = 90 * time.Second

// stopServer interrupts the server of a data directory and waits until it has
// let go of it.
func stopServer(ctx context.Context, data string) error {
	pid, err := app.Holder(data)
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the server, process %d: %w", pid, err)
	}
	deadline := time.After(serverStopsWithin)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if left, err := app.Holder(data); err != nil || left == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("the server, process %d, has not stopped after %s: see %s", pid, serverStopsWithin, filepath.Join(data, "server.log"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
