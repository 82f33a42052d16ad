package cli

import (
	"context"
	"errors"
	"fmt"
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
		d.traces.OwnCluster = true
		if err := d.traces.save(d.command.data); err != nil {
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
		case err := <-ended:
			return errors.Join(fmt.Errorf("the server ended:\n%s", lastLines(log, 5)), err)
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
