package localkube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Supervise is the body of the detached process that Up starts. It brings the
// machine to the state that Up wrote down and keeps it so: a component that
// ends is started again, logs are kept from growing, and on SIGHUP the state
// is read anew. On SIGTERM, or when the context ends, it stops all components
// and returns nil. Pods are not stopped by that; Down does so.
func (c *Cluster) Supervise(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	held, err := c.holdSupervisorLock(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	s := &supervisor{cluster: c, processes: map[string]*process{}, seen: report{PID: os.Getpid(), Started: time.Now()}}
	if wanted, err := c.readState(); err == nil {
		s.seen.Binaries = wanted.Binaries // It does not change while this process lives.
	}
	s.publish()
	defer s.stopAll()
	if err := s.clearField(); err != nil {
		return err
	}
	for {
		s.converge(ctx)
		if !s.watch(ctx, hangup) {
			return nil
		}
	}
}

// holdSupervisorLock makes this process the only supervisor. Whoever asks if
// there is one holds the lock for a moment, hence the patience.
func (c *Cluster) holdSupervisorLock(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	held, err := lock(ctx, c.paths.supervisorLock(), func() {})
	if err != nil {
		return nil, &Error{
			Message: "cluster " + c.config.Name + " has a supervisor already",
			Hint:    "run towline cluster status to see it",
			Err:     err,
		}
	}
	return held, nil
}

// supervisor owns the processes of one cluster.
type supervisor struct {
	cluster *Cluster
	writing sync.Mutex // held while a report is made and written, so that none overtakes a newer one

	mu        sync.Mutex
	processes map[string]*process // by component
	order     []string            // components in the order of their start
	seen      report
}

// clearField enters the cluster's control group and ends the components that
// a killed supervisor left behind, since nobody would notice their end. Pods
// and their shims stay.
func (s *supervisor) clearField() error {
	c := s.cluster
	groups, err := detectCgroups(c.config.Name)
	if err != nil {
		return err
	}
	if err := groups.enter(); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := slices.DeleteFunc(groups.processes("system"), func(pid int) bool { return pid == os.Getpid() || isShim(pid) })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end components of a former supervisor: processes %v do not end", left)
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func isShim(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.HasPrefix(filepath.Base(exe), "containerd-shim")
}

// watch returns true when the state is to be read anew, false to stop.
func (s *supervisor) watch(ctx context.Context, hangup <-chan os.Signal) bool {
	trim := time.NewTicker(5 * time.Second)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hangup:
			return true
		case <-trim.C:
			for _, component := range s.components() {
				if err := trimLog(component.Log, maxLog); err != nil {
					s.cluster.config.Logger.Warn("trim log", "component", component.Name, "error", err)
				}
			}
		}
	}
}

// converge works through the wanted state once and reports how that went.
func (s *supervisor) converge(ctx context.Context) {
	wanted, err := s.cluster.readState()
	if err == nil {
		err = s.reach(ctx, wanted)
	}
	s.mu.Lock()
	s.seen.Generation, s.seen.Fault = wanted.Generation, ""
	if err != nil {
		s.seen.Fault = err.Error()
		s.cluster.config.Logger.Error("bring up cluster", "error", err)
	} else {
		s.seen.Nodes = wanted.Nodes
	}
	s.mu.Unlock()
	s.publish()
}

func (s *supervisor) reach(ctx context.Context, wanted state) error {
	groups, err := detectCgroups(wanted.Name)
	if err != nil {
		return err
	}
	p := plan{state: wanted, layout: newLayout(wanted.Slot), paths: s.cluster.paths, cgroups: groups}
	if err := groups.ensureNodes(wanted.Nodes); err != nil {
		return err
	}
	for _, dir := range []string{"pki", "log", "etcd"} {
		if err := os.MkdirAll(p.in(dir), 0o700); err != nil {
			return err
		}
	}
	if err := ensureControlPlanePKI(p.paths, p.layout); err != nil {
		return err
	}
	if err := ensureHostNetwork(ctx, p.layout, p.name(), p.dir); err != nil {
		return err
	}
	// The nodes' containerds come up beside the control plane; the kubelets
	// wait for it.
	work, ctx := errgroup.WithContext(ctx)
	control := make(chan struct{})
	work.Go(func() error {
		if err := s.startControlPlane(ctx, p); err != nil {
			return err
		}
		close(control)
		return nil
	})
	for n := 1; n <= wanted.Nodes; n++ {
		work.Go(func() error { return s.startNode(ctx, p, n, control) })
	}
	return work.Wait()
}

func (p plan) name() string { return p.paths.name }

func (s *supervisor) startControlPlane(ctx context.Context, p plan) error {
	s.start(ctx, p.etcd())
	if err := s.ready(ctx, "etcd", func(ctx context.Context) error {
		etcd, err := newAPI(p.layout.etcd(), p.pki("etcd-ca.crt"), p.pki(userEtcd+".crt"), p.pki(userEtcd+".key"))
		if err != nil {
			return err
		}
		defer etcd.close()
		return etcd.get(ctx, "/health", nil)
	}); err != nil {
		return err
	}
	s.start(ctx, p.apiserver())
	if err := s.ready(ctx, "kube-apiserver", func(ctx context.Context) error {
		a, err := p.api(p.layout)
		if err != nil {
			return err
		}
		defer a.close()
		return a.get(ctx, "/readyz", nil)
	}); err != nil {
		return err
	}
	s.start(ctx, p.manager())
	s.start(ctx, p.scheduler())
	a, err := p.api(p.layout)
	if err != nil {
		return err
	}
	defer a.close()
	if err := applyAddons(ctx, a, p.layout); err != nil {
		return err
	}
	if p.Nodes == 0 {
		return nil
	}
	if err := p.writeCorefile(); err != nil {
		return err
	}
	s.start(ctx, p.coreDNS())
	return nil
}

func (s *supervisor) startNode(ctx context.Context, p plan, n int, control <-chan struct{}) error {
	if err := ensureNodePKI(p.paths, p.layout, n); err != nil {
		return err
	}
	if err := p.writeNodeFiles(n); err != nil {
		return err
	}
	if err := ensureNodeNetwork(p.layout, p.paths, n, p.Nodes); err != nil {
		return err
	}
	s.start(ctx, p.containerd(n))
	if err := s.ready(ctx, nodeName(n)+"/containerd", func(ctx context.Context) error { return p.importPause(ctx, n) }); err != nil {
		return err
	}
	select {
	case <-control:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := p.reachable(ctx, n); err != nil {
		return err
	}
	s.start(ctx, p.kubelet(n))
	s.start(ctx, p.kubeProxy(n))
	return nil
}

// importPause gives the node the one image that pods need beside their own.
func (p plan) importPause(ctx context.Context, n int) error {
	out, err := exec.CommandContext(ctx, filepath.Join(p.Binaries, "ctr"), "--address", p.containerdSocket(n), "--namespace", "k8s.io",
		"images", "import", filepath.Join(p.Binaries, "pause.tar")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import the pause image: %w: %.300s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// startLimit is the longest that one component may take to become ready, with
// room for a busy machine: the slowest, the API server, takes 6 s on an idle
// one.
const startLimit = 3 * time.Minute

func (s *supervisor) ready(ctx context.Context, component string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := poll(ctx, 100*time.Millisecond, check); err != nil {
		return &Error{
			Message: component + " does not become ready",
			Hint:    "see " + s.cluster.paths.log(strings.ReplaceAll(component, "/", "-")),
			Err:     err,
		}
	}
	return nil
}

// start begins to supervise the component, unless it is already.
func (s *supervisor) start(ctx context.Context, component spec) {
	s.mu.Lock()
	if s.processes[component.name] == nil {
		s.processes[component.name] = startProcess(ctx, component, s.cluster.config.Logger, s.publish)
		s.order = append(s.order, component.name)
	}
	s.mu.Unlock()
}

// stopAll ends the components, the last started first.
func (s *supervisor) stopAll() {
	for _, tier := range []string{"kubelet", "kube-proxy", "containerd", "coredns", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		var work errgroup.Group
		for _, name := range s.order {
			if strings.HasSuffix("/"+name, "/"+tier) {
				work.Go(func() error {
					s.processes[name].stop(5 * time.Second)
					return nil
				})
			}
		}
		_ = work.Wait()
	}
	if err := os.Remove(s.cluster.paths.status()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.cluster.config.Logger.Warn("remove report", "error", err)
	}
}

func (s *supervisor) components() []Component {
	s.mu.Lock()
	defer s.mu.Unlock()
	var components []Component
	for _, name := range s.order {
		components = append(components, s.processes[name].component())
	}
	return components
}

// publish writes the report for Up and Status to read.
func (s *supervisor) publish() {
	s.writing.Lock()
	defer s.writing.Unlock()
	components := s.components()
	s.mu.Lock()
	s.seen.Components = components
	seen := s.seen
	s.mu.Unlock()
	if err := writeJSON(s.cluster.paths.status(), seen); err != nil {
		s.cluster.config.Logger.Warn("write report", "error", err)
	}
}
