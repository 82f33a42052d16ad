package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/build/local"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// podFlags are what a build as a Pod is told on the command line.
type podFlags struct {
	pod           pipeline.Pod
	nodes         []string
	kubeconfig    string
	context       string
	agent         string // reference of the agent's image
	program       *pod.Program
	serviceImages string
}

// podKnobs are the flags that make sense for Pods alone.
var podKnobs = []string{
	"image", "context", "kubeconfig", "namespace", "cpu", "memory", "node-selector", "service-account", "privileged", "cache-volume",
	"service-images", "agent-image",
}

func (f *podFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.pod.Image, "image", "", "as a Pod: image with a shell and the tools that the buildspec calls")
	flags.StringVar(&f.context, "context", "", "as a Pod: context of the kubeconfig, default its current one")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "as a Pod: kubeconfig file, default the usual one, else the local cluster's")
	flags.StringVarP(&f.pod.Namespace, "namespace", "n", "", "as a Pod: namespace, default towline-builds, which is made when it is missing")
	flags.StringVar(&f.pod.CPU, "cpu", "", "as a Pod: processors, as Kubernetes writes them: 2 or 500m")
	flags.StringVar(&f.pod.Memory, "memory", "", "as a Pod: memory, as Kubernetes writes it: 2Gi")
	flags.StringArrayVar(&f.nodes, "node-selector", nil, "as a Pod: NAME=VALUE: label that the node must have; again for more")
	flags.StringVar(&f.pod.ServiceAccount, "service-account", "", "as a Pod: service account; without one no token is mounted")
	flags.BoolVar(&f.pod.Privileged, "privileged", false, "as a Pod: let the build do anything on its node")
	flags.StringVar(&f.pod.Cache, "cache-volume", "", "as a Pod: size of a volume kept for the tools' caches of this directory's builds, such as 10Gi")
	flags.StringVar(&f.serviceImages, "service-images", "", "as a Pod: what the references of databases' images begin with, default docker.io/library/")
	flags.StringVar(&f.agent, "agent-image", os.Getenv("TOWLINE_AGENT_IMAGE"), "as a Pod: image of the agent, as towline agent push has printed it; default this program is sent to each Pod (TOWLINE_AGENT_IMAGE)")
}

// overrule puts what the flags say of the Pod into the configuration. It checks
// what would else be found out only when the build is on its way.
func (f *podFlags) overrule(flags *pflag.FlagSet, config *pipeline.Build) error {
	given := ""
	for _, name := range podKnobs {
		if flags.Changed(name) && given == "" {
			given = name
		}
	}
	if config.Compute == "" && (given != "" || config.Pod != nil) {
		config.Compute = pipeline.ComputePod
	}
	switch config.Compute {
	case pipeline.ComputePod:
	case "", pipeline.ComputeHost:
		if given != "" {
			return fmt.Errorf("--%s goes with builds as Pods, and --compute is host", given)
		}
		return nil
	default:
		return fmt.Errorf("compute is %q: builds run as %s, on this machine, or as %s, in a cluster", config.Compute, pipeline.ComputeHost, pipeline.ComputePod)
	}
	p := pipeline.Pod{}
	if config.Pod != nil {
		p = *config.Pod
	}
	nodes, err := assignments("--node-selector", "VALUE", f.nodes)
	if err != nil {
		return err
	}
	p.Image, p.Namespace, p.ServiceAccount = cmp.Or(f.pod.Image, p.Image), cmp.Or(f.pod.Namespace, p.Namespace), cmp.Or(f.pod.ServiceAccount, p.ServiceAccount)
	p.CPU, p.Memory, p.Cache = cmp.Or(f.pod.CPU, p.CPU), cmp.Or(f.pod.Memory, p.Memory), cmp.Or(f.pod.Cache, p.Cache)
	p.Cluster = cmp.Or(f.context, p.Cluster)
	p.NodeSelector = over(p.NodeSelector, nodes)
	if flags.Changed("privileged") {
		p.Privileged = f.pod.Privileged
	}
	config.Pod = &p
	return complete(*config)
}

// complete says what a build as a Pod lacks.
func complete(config pipeline.Build) error {
	if config.Pod.Image == "" && config.Batch == nil {
		return errors.New("the Pod has no image: name one with a shell and the tools that the buildspec calls, such as --image golang:1.26")
	}
	return nil
}

// provide sees to it that the Pod gets Towline: by its image, or by this very
// program when none is named.
func (f *podFlags) provide() error {
	if f.agent != "" {
		return nil
	}
	path, architecture, err := agent.Program()
	if err != nil {
		return fmt.Errorf("send this program to the Pod: %w; or push its image with `towline agent push` and name that with --agent-image", err)
	}
	f.program = &pod.Program{Path: path, Architecture: architecture}
	return nil
}

// over are the assignments of both, the second one's over the first one's.
func over(first, second map[string]string) map[string]string {
	if len(first)+len(second) == 0 {
		return nil
	}
	all := map[string]string{}
	maps.Copy(all, first)
	maps.Copy(all, second)
	return all
}

// contexts are clusters by the contexts of a kubeconfig.
type contexts struct{ kubeconfig, context string }

var _ build.Kubeconfigs = contexts{}

// Kubeconfig asks the cluster for a token of a service account.
func (c contexts) Kubeconfig(ctx context.Context, want pipeline.Kubeconfig, lasting time.Duration) ([]byte, error) {
	cluster, err := kube.Connect(c.kubeconfig, cmp.Or(want.Cluster, c.context))
	if err != nil {
		return nil, err
	}
	return cluster.AccountKubeconfig(ctx, kube.Account{Namespace: want.Namespace, Name: want.ServiceAccount}, lasting)
}

// named is the context by a name that leads to the same cluster from anywhere
// and later: another call has to find the Pods of a killed one.
func (c contexts) named() (string, error) {
	cluster, err := kube.Connect(c.kubeconfig, c.context)
	if err != nil {
		return "", err
	}
	file, context := c.kubeconfig, cluster.Context
	if file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return "", fmt.Errorf("find the kubeconfig: %w", err)
		}
	}
	// Inside a Pod there may be no kubeconfig, and no contexts.
	if _, err := kube.Connect(file, context); err != nil {
		context = ""
	}
	return file + contextSeparator + context, nil
}

// contextSeparator is in the names of neither files nor contexts that people
// use.
const contextSeparator = "\n"

// connectNamed connects to what contexts.named has named.
func connectNamed(_ context.Context, name string) (*kube.Cluster, error) {
	file, context, _ := strings.Cut(name, contextSeparator)
	return kube.Connect(file, context)
}

// backend runs the builds of this machine's user as Pods.
func (f *podFlags) backend(cacheDir string, caches cache.Store) (*pod.Backend, error) {
	owner, err := local.Owner(cacheDir)
	if err != nil {
		return nil, err
	}
	return pod.New(pod.Config{
		Connect: connectNamed, AgentImage: func(context.Context) (string, error) { return f.agent, nil }, Program: f.program,
		Owner: owner, ServiceImages: f.serviceImages, Caches: caches,
	})
}
