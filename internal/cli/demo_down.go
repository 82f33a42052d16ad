package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/config"
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
}

func tracesFile(data string) string { return filepath.Join(demoData(data), "traces.json") }

func (t traces) save(data string) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(tracesFile(data), text, 0o600)
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
	} else if left.Kubeconfig != "" || left.Context != "" {
		if err := removeNamespace(ctx, left); err != nil {
			return fmt.Errorf("remove what the demo deployed: %w", err)
		}
	}
	if err := errors.Join(os.RemoveAll(data), build.RemoveMountPoint()); err != nil {
		return err
	}
	// Only when the demo was all that was there.
	if err := os.Remove(c.data); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	fmt.Fprintln(c.Err, "The demo is gone.")
	return nil
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

// stopServer interrupts the server of a data directory and waits until it no
// longer answers. The process is the server only if it answers at the address
// that it wrote down: a number alone may be another process's by now.
func stopServer(ctx context.Context, data string) error {
	endpoint, _, err := config.ReadEndpoint(data)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !answers(ctx, endpoint.URL)) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(endpoint.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	deadline := time.After(serverReadyWithin)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(endpoint.PID, 0) == nil {
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("the server, process %d, has not stopped after %s", endpoint.PID, serverReadyWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
