// Package kube is the cluster as Towline sees it: one Cluster per kubeconfig
// context or Credential, which applies, reads, follows and deletes objects, and
// Health, a pure judgement of one object. It stands below deploy and build,
// which decide what to do; it knows nothing of pipelines, strategies or
// revisions.
//
// It is the only room that imports client-go. What crosses its border are the
// API's own types (k8s.io/api, unstructured) and the types declared here.
package kube

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// FieldManager is the name under which Towline owns fields of objects.
const FieldManager = "towline"

// pingTimeout is how long a cluster may take to answer the first request
// before it counts as unreachable. A person waits for it.
const pingTimeout = 5 * time.Second

// Cluster is one Kubernetes cluster with the credentials to use it. It is safe
// for concurrent use and holds no goroutine of its own.
type Cluster struct {
	Context   string // name of the kubeconfig context, or "in-cluster", or of the stored cluster
	Server    string // URL of the API server
	Namespace string // default namespace of the context, "default" when unset

	origin   origin // where the credentials were read
	stored   bool   // its credential is not of a kubeconfig
	config   *rest.Config
	http     *http.Client
	dynamic  dynamic.Interface
	metadata metadata.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	core     corev1.CoreV1Interface
	apps     appsv1.AppsV1Interface
	slices   discoveryv1.DiscoveryV1Interface
	leases   coordinationv1.CoordinationV1Interface

	mu        sync.Mutex
	forgotten time.Time // when the kinds were last asked for afresh
	// served are the kinds that were found. The mapper knows them as well, but
	// goes through all kinds of the cluster to find one.
	served map[schema.GroupVersionKind]Resource
}
