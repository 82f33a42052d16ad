package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Scope says whether objects of a kind live in namespaces; known is false
// when it cannot tell.
type Scope func(schema.GroupVersionKind) (namespaced, known bool)

// SetNamespace puts the objects that live in namespaces and name none into
// namespace. An object that names another one is an error, unless that one is
// among allowed ("*" allows all). A namespace on an object that lives in none
// is removed, as kubectl does. Two objects that become one are an error.
//
// What scope does not know, or all kinds when scope is nil, is looked up among
// the kinds of Kubernetes itself and the CustomResourceDefinitions of objs;
// objects of kinds that are unknown even then stay as they are.
func SetNamespace(objs []Object, namespace string, scope Scope, allowed ...string) error {
	var errs []error
	defined := definedScopes(objs)
	becomes := make([]ID, len(objs))
	first := map[ID]Object{}
	for i, o := range objs {
		id := IDOf(o.Unstructured)
		namespaced, known := lookUpScope(o.GroupVersionKind(), scope, defined)
		switch {
		case known && !namespaced:
			id.Namespace = ""
		case id.Namespace == "" && known:
			id.Namespace = namespace
		case id.Namespace != "" && id.Namespace != namespace && !slices.Contains(allowed, id.Namespace) && !slices.Contains(allowed, "*"):
			errs = append(errs, &Error{Source: o.Source,
				Message: fmt.Sprintf("%s names a namespace other than %q, which it is deployed to", id, namespace),
				Hint:    "remove metadata.namespace from the manifest, or deploy it with an action of its own whose namespace is " + id.Namespace})
		}
		if other, ok := first[id]; ok {
			errs = append(errs, twice(o, other, id))
		}
		first[id], becomes[i] = o, id
	}
	if len(errs) > 0 {
		return joinErrors(errs)
	}
	for i, o := range objs {
		if o.GetNamespace() != becomes[i].Namespace {
			o.SetNamespace(becomes[i].Namespace)
		}
	}
	return nil
}

func lookUpScope(gvk schema.GroupVersionKind, scope Scope, defined map[schema.GroupKind]bool) (namespaced, known bool) {
	if scope != nil {
		if namespaced, known := scope(gvk); known {
			return namespaced, known
		}
	}
	if namespaced, ok := defined[gvk.GroupKind()]; ok {
		return namespaced, true
	}
	return builtinScope(gvk.GroupKind())
}

// definedScopes are the kinds that CustomResourceDefinitions of objs define.
func definedScopes(objs []Object) map[schema.GroupKind]bool {
	scopes := map[schema.GroupKind]bool{}
	for _, crd := range OfKind(objs, "apiextensions.k8s.io", "CustomResourceDefinition") {
		gk := schema.GroupKind{Group: stringAt(crd.Object, "spec", "group"), Kind: stringAt(crd.Object, "spec", "names", "kind")}
		scopes[gk] = stringAt(crd.Object, "spec", "scope") == "Namespaced"
	}
	return scopes
}

// builtinScope knows Kubernetes' own kinds. Groups without a dot, and those
// that end in k8s.io and are served by the API server itself, are its own;
// Gateway API and its like are extensions whose kinds we cannot know.
func builtinScope(gk schema.GroupKind) (namespaced, known bool) {
	if slices.Contains(clusterKinds[gk.Group], gk.Kind) {
		return false, true
	}
	_, some := clusterKinds[gk.Group]
	own := gk.Group == "" || !strings.Contains(gk.Group, ".") || some || slices.Contains(namespacedGroups, gk.Group)
	return own, own
}

var namespacedGroups = []string{"discovery.k8s.io", "coordination.k8s.io", "events.k8s.io"}

// clusterKinds are the kinds without a namespace, by group.
var clusterKinds = map[string][]string{
	"":                             {"Namespace", "Node", "PersistentVolume", "ComponentStatus"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"admissionregistration.k8s.io": {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
	"storage.k8s.io":               {"StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"resource.k8s.io":              {"DeviceClass", "ResourceSlice"},
}
