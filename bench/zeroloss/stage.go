package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/deploy/imagetest"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// stage is what cut-overs are made on: a cluster, the images of the test
// application and the ways to reach it.
type stage struct {
	settings
	cluster  *kube.Cluster
	local    *localkube.Cluster
	kubectl  string
	images   [2]string // of the versions, by digest
	deployer *deploy.Deployer
	rate     int
	clients  []netip.Addr // that the requests come from
	closers  []func()
}

// versionNames are what the two images answer.
var versionNames = [2]string{"one", "two"}

// setUp brings the stage up.
func setUp(ctx context.Context, s settings) (*stage, error) {
	st := &stage{settings: s}
	kubeconfig, err := st.bringUp(ctx)
	if err == nil {
		err = st.connect(ctx, kubeconfig)
	}
	if err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

// bringUp brings the local cluster up, when one is named and it is asked for,
// and returns its kubeconfig; empty means the usual one.
func (st *stage) bringUp(ctx context.Context) (kubeconfig string, err error) {
	if st.settings.cluster == "" {
		return "", nil
	}
	local, err := localkube.New(localkube.Config{Name: st.settings.cluster})
	if err != nil {
		return "", err
	}
	if st.nodes == 0 {
		return local.Kubeconfig(), nil
	}
	if st.down {
		st.closers = append(st.closers, func() { _ = st.towlineCluster(context.WithoutCancel(ctx), "down") })
	}
	return local.Kubeconfig(), st.towlineCluster(ctx, "up", "--nodes", strconv.Itoa(st.nodes))
}

func (st *stage) connect(ctx context.Context, kubeconfig string) (err error) {
	if st.cluster, err = kube.Connect(kubeconfig, ""); err != nil {
		return err
	}
	if st.local, err = localkube.New(localkube.Config{Name: st.cluster.Context}); err != nil {
		return err
	}
	if st.kubectl, err = st.local.Kubectl(); err != nil {
		return fmt.Errorf("find the kubectl of cluster %s: %w", st.cluster.Context, err)
	}
	// Its port is the same in each slice, so that what is deployed stays the same.
	images, err := imagetest.Listen(ctx, st.cluster, st.listen)
	if err != nil {
		return err
	}
	st.closers = append(st.closers, images.Close)
	refs, err := pushVersions(ctx, images, versionNames[:])
	if err != nil {
		return err
	}
	copy(st.images[:], refs)
	if st.clients, err = st.addClients(); err != nil {
		return err
	}
	st.deployer = deploy.New(deploy.Config{
		Cluster: st.cluster, Kubectl: st.kubectl,
		AgentImage: func(ctx context.Context) (string, error) {
			return agent.Publish(ctx, agent.Target{Reference: images.Host + "/towline-agent", Insecure: true, Executables: []string{st.towline}})
		},
	})
	return nil
}

func (st *stage) close() {
	for _, stop := range slices.Backward(st.closers) {
		stop()
	}
}

// towlineCluster runs `towline cluster`, which becomes the supervisor of the
// cluster's processes.
func (st *stage) towlineCluster(ctx context.Context, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, st.towline, append([]string{"cluster", verb, "--name", st.settings.cluster}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("towline cluster %s: %w", verb, err)
	}
	return nil
}

// run runs kubectl against the cluster.
func (st *stage) run(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, st.kubectl, append([]string{"--kubeconfig", st.local.Kubeconfig()}, args...)...)
	if input != "" {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
		go func() {
			_, _ = out.WriteString(input) // kubectl says what is wrong with it
			_ = out.Close()
		}()
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", args[0], err, text)
	}
	return nil
}

// addresses are where the Service of a namespace is reached: its node port on
// every node.
func (st *stage) addresses(ctx context.Context, namespace string) ([]string, error) {
	nodes, err := st.local.NodeAddresses()
	if err != nil {
		return nil, err
	}
	services, err := st.cluster.Services(ctx, namespace)
	if err != nil {
		return nil, err
	}
	for _, service := range services {
		if service.Name != "web" || service.Spec.Type != corev1.ServiceTypeNodePort || len(service.Spec.Ports) == 0 {
			continue
		}
		var found []string
		for _, node := range nodes {
			found = append(found, net.JoinHostPort(node, strconv.Itoa(int(service.Spec.Ports[0].NodePort))))
		}
		return found, nil
	}
	return nil, fmt.Errorf("namespace %s has no Service web with a node port", namespace)
}

// remove deletes a namespace and waits until it is gone, so that its end does
// not disturb what comes next.
func (st *stage) remove(ctx context.Context, namespace string) error {
	const atMost = 3 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atMost)
	defer cancel()
	ref := kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}
	if err := st.cluster.Delete(ctx, ref, ""); err != nil {
		return err
	}
	return until(ctx, "namespace "+namespace+" is gone", func() (bool, error) {
		_, err := st.cluster.Get(ctx, ref)
		return kube.IsNotFound(err), nil
	})
}

// until waits until something holds.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s", what), context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// status reads a number out of an object's status.
func status(o *unstructured.Unstructured, field string) int64 {
	n, _, err := unstructured.NestedInt64(o.Object, "status", field)
	if err != nil {
		return 0
	}
	return n
}
