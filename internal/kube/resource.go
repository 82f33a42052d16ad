package kube

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref names one object of a cluster.
type Ref struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"` // empty for cluster-scoped kinds
	Name       string `json:"name"`
}

// RefOf is the reference of an object.
func RefOf(obj *unstructured.Unstructured) Ref {
	return Ref{APIVersion: obj.GetAPIVersion(), Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// GVK is the object's group, version and kind.
func (r Ref) GVK() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
}

// Same tells whether two references mean the same object, which they do across
// versions of the same API group.
func (r Ref) Same(other Ref) bool { return r.ID() == other.ID() }

// ID is the reference without the version: what stays the same when a manifest
// moves from v1beta1 to v1.
func (r Ref) ID() string {
	return strings.Join([]string{r.GVK().Group, r.Kind, r.Namespace, r.Name}, "/")
}

// String is the object as people say it: "Deployment web".
func (r Ref) String() string { return r.Kind + " " + r.Name }

// Resource is how the API serves a kind.
type Resource struct {
	GVR        schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// Path is the URL path of an object, which the log shows so that a person can
// repeat a request by hand.
func (r Resource) Path(namespace, name string) string {
	root := r.root()
	if r.Namespaced {
		root += "/namespaces/" + namespace
	}
	return strings.TrimSuffix(root+"/"+r.GVR.Resource+"/"+name, "/")
}

// root is the URL path of the API that serves the kind.
func (r Resource) root() string {
	if r.GVR.Group == "" {
		return "/api/" + r.GVR.Version
	}
	return "/apis/" + r.GVR.Group + "/" + r.GVR.Version
}

// UnknownKindError says that the cluster does not serve a kind.
type UnknownKindError struct{ GVK schema.GroupVersionKind }

func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("the cluster does not know the kind %s of %s: mend apiVersion or kind, or install the CustomResourceDefinition first",
		e.GVK.Kind, e.GVK.GroupVersion())
}

// Resource finds how the cluster serves a kind. It asks the API server once
// and remembers; a kind that is not found is looked for afresh, since a CRD
// may have come since. An unknown kind is an *UnknownKindError.
func (c *Cluster) Resource(gvk schema.GroupVersionKind) (Resource, error) {
	c.mu.Lock()
	served, known := c.served[gvk]
	c.mu.Unlock()
	if known {
		return served, nil
	}
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) && c.forget() {
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if meta.IsNoMatchError(err) {
		return Resource{}, &UnknownKindError{GVK: gvk}
	}
	if err != nil {
		return Resource{}, fmt.Errorf("ask the cluster for the kind %s: %w", gvk.Kind, err)
	}
	served = Resource{GVR: mapping.Resource, Kind: gvk.Kind, Namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served[gvk] = served
	return served, nil
}

// forgetEvery bounds how often an unknown kind makes the cluster be asked for
// all its kinds.
const forgetEvery = 200 * time.Millisecond

// forget drops what is remembered of the cluster's kinds, unless that has just
// been done.
func (c *Cluster) forget() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.forgotten) < forgetEvery {
		return false
	}
	c.forgotten = time.Now()
	c.mapper.Reset()
	clear(c.served)
	return true
}
