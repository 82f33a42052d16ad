package kube

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"
)

// Connect reads a kubeconfig and returns the cluster of one of its contexts.
// An empty path means the usual rules ($KUBECONFIG, ~/.kube/config, then the
// service account of the pod it runs in), an empty context the current one.
// No request is sent: see Ping.
func Connect(kubeconfigPath, kubeContext string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfigPath
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	if err := checkContext(raw, kubeContext, rules); err != nil {
		return nil, err
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", where(rules), err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the namespace of kubeconfig %s: %w", where(rules), err)
	}
	name := kubeContext
	if name == "" {
		name = raw.CurrentContext
	}
	if name == "" {
		name = "in-cluster"
	}
	cluster, err := newCluster(settings{config: config, name: name, namespace: namespace})
	if err == nil && raw.Contexts[name] != nil {
		cluster.origin = origin{file: kubeconfigPath, context: name}
	}
	return cluster, err
}

func checkContext(raw clientcmdapi.Config, kubeContext string, rules *clientcmd.ClientConfigLoadingRules) error {
	names := slices.Sorted(maps.Keys(raw.Contexts))
	if kubeContext != "" && raw.Contexts[kubeContext] == nil {
		return fmt.Errorf("kubeconfig %s has no context %q: it has %s", where(rules), kubeContext, listOr(names, "none"))
	}
	if kubeContext == "" && raw.CurrentContext == "" && !inPod() {
		return fmt.Errorf("no cluster to use: kubeconfig %s names no current context (it has %s). "+
			"Name one with --context or `kubectl config use-context`, or start a local cluster with `towline cluster up`",
			where(rules), listOr(names, "no contexts"))
	}
	return nil
}

// inPod tells whether this process runs inside a cluster.
func inPod() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func where(rules *clientcmd.ClientConfigLoadingRules) string {
	if rules.ExplicitPath != "" {
		return rules.ExplicitPath
	}
	return strings.Join(rules.Precedence, string(os.PathListSeparator))
}

// settings are what a Cluster is made of.
type settings struct {
	config          *rest.Config
	name, namespace string
	// stored tells that the credential is not of a kubeconfig: its errors name
	// another mend.
	stored bool
	// mounted tells that it is the service account of this process's own pod.
	mounted bool
	// authorize adds to each request what client-go has no setting for. It may
	// be nil.
	authorize transport.WrapperFunc
}

// newCluster builds the clients over one shared HTTP client. The client-side
// rate limit is off: the API server's own priority and fairness says when to
// slow down, and callers bound how much they send at once.
func newCluster(s settings) (*Cluster, error) {
	SilenceLibraries()
	config, name := rest.CopyConfig(s.config), s.name
	config.QPS, config.Burst = -1, -1
	config.UserAgent = "towline"
	config.WarningHandlerWithContext = warnings{}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: pingTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	// The explainer is next to the wire, so that it sees what was really sent.
	config.Wrap(newExplainer(s))
	if s.authorize != nil {
		config.Wrap(s.authorize)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("use the credentials of cluster %q: %w", name, err)
	}
	c := &Cluster{Context: name, Server: config.Host, Namespace: s.namespace, stored: s.stored, config: config, http: client,
		served: map[schema.GroupVersionKind]Resource{}}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	errs := []error{err}
	c.dynamic, err = dynamic.NewForConfigAndClient(config, client)
	errs = append(errs, err)
	c.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), client)
	errs = append(errs, err)
	c.core, err = corev1.NewForConfigAndClient(config, client)
	errs = append(errs, err)
	c.apps, err = appsv1.NewForConfigAndClient(config, client)
	errs = append(errs, err)
	c.slices, err = discoveryv1.NewForConfigAndClient(config, client)
	errs = append(errs, err)
	c.leases, err = coordinationv1.NewForConfigAndClient(config, client)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("use cluster %q: %w", name, err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	return c, nil
}
