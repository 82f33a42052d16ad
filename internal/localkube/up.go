package localkube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// upLimit is the longest that a cluster may take to come up once its binaries
// are there. An idle machine needs 15 s.
const upLimit = 6 * time.Minute

// Up makes sure that the cluster is up with at least the configured number of
// nodes, and returns once its nodes are ready, its DNS answers and pods can be
// made. It may be called again at any time, from several processes at once:
// what runs is left alone, what is missing or broken is mended. What the
// machine lacks comes back as one *MissingError.
func (c *Cluster) Up(ctx context.Context) error {
	if len(c.config.Supervisor) == 0 {
		return errors.New("bring up cluster: no supervisor command is configured")
	}
	if err := c.require(ctx); err != nil {
		return err
	}
	binaries, err := c.ensureBinaries(ctx)
	if err != nil {
		return err
	}
	held, err := lock(ctx, c.paths.lock(), func() { c.config.Progress("another command works on cluster " + c.config.Name + "; waiting for it") })
	if err != nil {
		return err
	}
	defer held.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, upLimit, fmt.Errorf("cluster %s is not up after %s", c.config.Name, upLimit))
	defer cancel()
	wanted, err := c.want(ctx, binaries)
	if err != nil {
		return err
	}
	if err := c.ensureSupervisor(ctx, wanted); err != nil {
		return err
	}
	return c.awaitReady(ctx, wanted)
}

// require checks all that the machine must have, at once.
func (c *Cluster) require(ctx context.Context) error {
	more := c.config.Nodes
	if report, alive := c.supervisor(); alive {
		more = c.config.Nodes - report.Nodes - 1 // What runs has its memory already.
	}
	missing, err := c.requireBinaries(ctx)
	if err != nil {
		return err
	}
	if missing = append(requireMachine(ctx, c.config.Dir, more), missing...); len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	return nil
}

// want writes down what the supervisor has to bring about.
func (c *Cluster) want(ctx context.Context, binaries string) (state, error) {
	if err := os.MkdirAll(c.config.Dir, 0o711); err != nil {
		return state{}, err
	}
	had, err := c.readState()
	slot := had.Slot
	if errors.Is(err, ErrNotUp) {
		slot = -1
	} else if err != nil {
		return state{}, err
	}
	if slot, err = c.claimSlot(ctx, slot); err != nil {
		return state{}, err
	}
	wanted := state{
		Name: c.config.Name, Slot: slot, Nodes: max(had.Nodes, c.config.Nodes),
		Binaries: binaries, Generation: had.Generation + 1,
	}
	return wanted, writeJSON(c.paths.state(), wanted)
}

// supervisor returns the supervisor's last report, and whether it is alive.
// One that has only just started may not have reported yet.
func (c *Cluster) supervisor() (report, bool) {
	alive := isLocked(c.paths.supervisorLock())
	var r report
	if err := readJSON(c.paths.status(), &r); err != nil {
		return report{}, alive
	}
	return r, alive
}

// introduced waits until a supervisor that is alive has said its process ID.
func (c *Cluster) introduced(ctx context.Context) (report, bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = poll(ctx, 50*time.Millisecond, func(context.Context) error {
		if r, alive := c.supervisor(); alive && r.PID == 0 {
			return errStarting
		}
		return nil
	})
	r, alive := c.supervisor()
	return r, alive && r.PID != 0
}

// ensureSupervisor tells the supervisor to look at the wanted state, or starts
// one. One that runs older binaries is replaced; pods live on meanwhile.
func (c *Cluster) ensureSupervisor(ctx context.Context, wanted state) error {
	r, alive := c.introduced(ctx)
	if alive && r.Binaries == wanted.Binaries {
		c.config.Progress(fmt.Sprintf("cluster %s is running; checking it", c.config.Name))
		return syscall.Kill(r.PID, syscall.SIGHUP)
	}
	if alive {
		c.config.Progress(fmt.Sprintf("cluster %s runs older binaries; starting it anew", c.config.Name))
		if err := c.stopSupervisor(ctx); err != nil {
			return err
		}
	}
	c.config.Progress(fmt.Sprintf("starting cluster %s with %d node(s)", c.config.Name, wanted.Nodes))
	if err := os.Remove(c.paths.status()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.launchSupervisor()
}

// launchSupervisor starts the supervisor so that it outlives this process and
// its terminal.
func (c *Cluster) launchSupervisor() error {
	log := c.paths.log("supervisor")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		return err
	}
	if err := trimLog(log, maxLog); err != nil {
		return err
	}
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	args, err := c.supervisorCommand()
	if err != nil {
		return err
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // It outlives every context of this process.
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	go func() { _ = cmd.Wait() }() // Its end is seen by its lock; this only reaps it.
	return nil
}

// supervisorCommand is the configured command, in a scope of its own where
// systemd hands out cgroup v2. While pods of a killed supervisor live, so does
// the scope, which the new supervisor then enters by itself.
func (c *Cluster) supervisorCommand() ([]string, error) {
	groups, err := detectCgroups(c.config.Name)
	if err != nil {
		return nil, err
	}
	if !groups.unified || !underSystemd() || groups.exists() {
		return c.config.Supervisor, nil
	}
	return append([]string{
		"systemd-run", "--scope", "--quiet", "--collect", "--unit=" + scopeUnit(c.config.Name), "--slice=system.slice",
		"--property=Delegate=yes", "--property=TasksMax=infinity", "--description=Towline local Kubernetes " + c.config.Name, "--",
	}, c.config.Supervisor...), nil
}

// awaitReady waits for the supervisor to have started everything, and then for
// the cluster to be of use.
func (c *Cluster) awaitReady(ctx context.Context, wanted state) error {
	started := time.Now()
	if err := c.awaitSupervisor(ctx, wanted.Generation); err != nil {
		return err
	}
	c.config.Progress(fmt.Sprintf("components are running, %.1fs", time.Since(started).Seconds()))
	l := newLayout(wanted.Slot)
	a, err := c.paths.api(l)
	if err != nil {
		return fmt.Errorf("read the cluster's certificates: %w", err)
	}
	defer a.close()
	steps := []struct {
		what  string
		check func(context.Context) error
	}{
		{"default service account", func(ctx context.Context) error {
			return a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		}},
		{"nodes", func(ctx context.Context) error { return c.nodesReady(ctx, a, wanted.Nodes) }},
		{"DNS", func(ctx context.Context) error { return dnsAnswers(ctx, l, wanted.Nodes) }},
	}
	for _, step := range steps {
		if err := poll(ctx, 100*time.Millisecond, step.check); err != nil {
			return &Error{
				Message: fmt.Sprintf("cluster %s: %s not ready after %s", c.config.Name, step.what, time.Since(started).Round(time.Second)),
				Hint:    "see the logs in " + c.paths.in("log"),
				Err:     err,
			}
		}
	}
	c.config.Progress(fmt.Sprintf("cluster %s is up with %d node(s), %.1fs", c.config.Name, wanted.Nodes, time.Since(started).Seconds()))
	return nil
}

var errStarting = errors.New("the supervisor is still starting components")

func (c *Cluster) awaitSupervisor(ctx context.Context, generation int) error {
	quiet := time.Now().Add(20 * time.Second) // for a new supervisor's first report
	err := poll(ctx, 100*time.Millisecond, func(context.Context) error {
		r, alive := c.supervisor()
		switch {
		case alive && r.PID != 0 && r.Generation >= generation:
			return nil
		case !alive && time.Now().After(quiet):
			return nil
		case alive:
			quiet = time.Now().Add(5 * time.Second)
		}
		return errStarting
	})
	if err != nil {
		return fmt.Errorf("bring up cluster %s: %w", c.config.Name, err)
	}
	r, alive := c.supervisor()
	if !alive {
		return &Error{
			Message: fmt.Sprintf("the supervisor of cluster %s ended: %s", c.config.Name, lastLine(c.paths.log("supervisor"))),
			Hint:    "see " + c.paths.log("supervisor"),
		}
	}
	if r.Fault != "" {
		return fmt.Errorf("bring up cluster %s: %s", c.config.Name, r.Fault)
	}
	return nil
}

func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// nodesReady is nil when each node has been reported ready by the kubelet that
// runs now.
func (c *Cluster) nodesReady(ctx context.Context, a *api, count int) error {
	if count == 0 {
		return nil
	}
	known, err := a.nodes(ctx)
	if err != nil {
		return err
	}
	r, _ := c.supervisor()
	for n := 1; n <= count; n++ {
		i := slices.IndexFunc(known, func(o nodeObject) bool { return o.Metadata.Name == nodeName(n) })
		if i < 0 {
			return fmt.Errorf("%s has not registered", nodeName(n))
		}
		if why := known[i].notReady(r.started(nodeName(n) + "/kubelet")); why != "" {
			return fmt.Errorf("%s is not ready: %s", nodeName(n), why)
		}
	}
	return nil
}

func (r report) started(component string) time.Time {
	for _, c := range r.Components {
		if c.Name == component {
			return c.Started
		}
	}
	return time.Time{}
}

// dnsAnswers asks for the API server's name as a pod would: at the address of
// the DNS Service, which needs kube-proxy to be at work as well.
func dnsAnswers(ctx context.Context, l layout, nodes int) error {
	if nodes == 0 {
		return nil
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(l.dnsService().String(), "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	if err != nil {
		return err
	}
	if !slices.Contains(found, l.apiService().String()) {
		return fmt.Errorf("kubernetes.default.svc.cluster.local is %v, want %s", found, l.apiService())
	}
	return nil
}
