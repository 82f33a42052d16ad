package manifest

import (
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is one Kubernetes object and the place where it was written. The
// place is kept beside the object and not in an annotation, so that what is
// applied is what the user wrote.
type Object struct {
	*unstructured.Unstructured
	Source Source
}

// Source is a place in a file of the source tree. The zero value means that
// the place is not known, as for an object that was read from a cluster.
type Source struct {
	File string // slash-separated, relative to the root of the source
	Line int    // from 1; 0 when only the file is known, as for generated objects
}

// String is "k8s/web.yaml:12", "k8s/web.yaml", or empty.
func (s Source) String() string {
	if s.File == "" || s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// ID tells objects of one cluster apart. The version of the API is no part of
// it: apps/v1 and apps/v1beta1 show the same Deployment.
type ID struct {
	Group     string
	Kind      string
	Namespace string
	Name      string
}

// IDOf returns the identity of u.
func IDOf(u *unstructured.Unstructured) ID {
	gvk := u.GroupVersionKind()
	return ID{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
}

// String is "Deployment/web in namespace shop", the way objects are named in
// logs and errors.
func (id ID) String() string {
	if id.Namespace == "" {
		return id.Kind + "/" + id.Name
	}
	return fmt.Sprintf("%s/%s in namespace %s", id.Kind, id.Name, id.Namespace)
}

// Ref names u for people: "Deployment/web in namespace shop", without the
// namespace when u has none.
func Ref(u *unstructured.Unstructured) string { return IDOf(u).String() }

// Wrap makes Objects, without a Source, of objects from elsewhere.
func Wrap(us ...*unstructured.Unstructured) []Object {
	objs := make([]Object, len(us))
	for i, u := range us {
		objs[i] = Object{Unstructured: u}
	}
	return objs
}

// Copy returns a deep copy of objs.
func Copy(objs []Object) []Object {
	copies := make([]Object, len(objs))
	for i, o := range objs {
		copies[i] = Object{Unstructured: o.DeepCopy(), Source: o.Source}
	}
	return copies
}

// Find returns the object of that identity.
func Find(objs []Object, id ID) (Object, bool) {
	for _, o := range objs {
		if IDOf(o.Unstructured) == id {
			return o, true
		}
	}
	return Object{}, false
}

// Workloads are the objects that run pods, in the order of objs: Deployments,
// StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and bare Pods.
func Workloads(objs []Object) []Object {
	return filter(objs, func(u *unstructured.Unstructured) bool {
		_, ok := templatePath(u)
		return ok
	})
}

// Services are the core Services of objs, in their order.
func Services(objs []Object) []Object { return OfKind(objs, "", "Service") }

// OfKind are the objects of that group ("" is the core group) and kind.
func OfKind(objs []Object, group, kind string) []Object {
	return filter(objs, func(u *unstructured.Unstructured) bool { return isKind(u, group, kind) })
}

func isKind(u *unstructured.Unstructured, group, kind string) bool {
	return u.GroupVersionKind().GroupKind() == schema.GroupKind{Group: group, Kind: kind}
}

func filter(objs []Object, keep func(*unstructured.Unstructured) bool) []Object {
	var kept []Object
	for _, o := range objs {
		if keep(o.Unstructured) {
			kept = append(kept, o)
		}
	}
	return kept
}

// clean is p as a path below the root of the source, or ok == false when it
// leads out of it.
func clean(p string) (string, bool) {
	if strings.HasPrefix(p, "/") || strings.ContainsAny(p, "\x00\\") {
		return "", false
	}
	p = path.Clean(p)
	return p, p != ".." && !strings.HasPrefix(p, "../")
}
