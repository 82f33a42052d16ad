package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/localkube"
)

// ownCluster is the file that says that the demo brought the cluster up, and
// so may take it down.
const ownCluster = "own-cluster"

// serverReadyWithin bounds the wait for the demo's server.
const serverReadyWithin = 30 * time.Second

func (d *demo) clusterUp(ctx context.Context) error {
	cluster, err := d.command.cluster(localkube.Config{Name: localkube.DefaultName, Nodes: 1})
	if err != nil {
		return err
	}
	d.kubeconfig = cluster.Kubeconfig()
	status, err := cluster.Status(ctx)
	if err == nil && status.Up && status.Healthy {
		return nil
	}
	d.say("Bring up a local Kubernetes")
	if err == nil && !status.Up {
		if err := os.WriteFile(filepath.Join(demoData(d.command.data), ownCluster), nil, 0o600); err != nil {
			return err
		}
	}
	return cluster.Up(ctx)
}

// serverUp starts the demo's server as a process that outlives this one, or
// finds the one that runs.
func (d *demo) serverUp(ctx context.Context) error {
	data := demoData(d.command.data)
	if endpoint, token, err := config.ReadEndpoint(data); err == nil {
		d.api = client.New(endpoint.URL, token)
		if _, err := d.api.Version(ctx); err == nil {
			return nil
		}
	}
	d.say("Start the server")
	exe, err := executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(data, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"server", "--data", data, "--listen", d.listen}
	if d.kubeconfig != "" {
		args = append(args, "--kubeconfig", d.kubeconfig)
	}
	if d.registry != "" {
		args = append(args, "--registry", d.registry)
	}
	server := exec.Command(exe, args...)
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	return d.awaitServer(ctx, server, log.Name())
}

// awaitServer waits until the process has told where it is and answers.
func (d *demo) awaitServer(ctx context.Context, server *exec.Cmd, log string) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	deadline := time.After(serverReadyWithin)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("the server is not ready after %s: see %s", serverReadyWithin, log)
		case <-ended:
			return fmt.Errorf("the server ended:\n%s", lastLines(log, 5))
		case <-tick.C:
		}
		endpoint, token, err := config.ReadEndpoint(demoData(d.command.data))
		if err != nil || endpoint.PID != server.Process.Pid {
			continue
		}
		d.api = client.New(endpoint.URL, token)
		if _, err := d.api.Version(ctx); err == nil {
			return nil
		}
	}
}

func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// demoDown stops the server, takes down the cluster if the demo brought it up,
// and removes the data. It is right in any condition, also when nothing runs.
func (c *command) demoDown(ctx context.Context) error {
	data := demoData(c.data)
	if err := stopServer(ctx, data); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(data, ownCluster)); err == nil {
		cluster, err := c.cluster(localkube.Config{Name: localkube.DefaultName})
		if err != nil {
			return err
		}
		if err := cluster.Down(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	// Only when the demo was all that was there.
	if err := os.Remove(c.data); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	fmt.Fprintln(c.Err, "The demo is gone.")
	return nil
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
