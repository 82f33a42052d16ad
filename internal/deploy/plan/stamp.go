package plan

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// The marks on the objects of an application. They are on the objects only,
// never on a pod template, so that none of them rolls a pod; and they are
// labels, since a changed annotation of a Deployment is a new generation of
// it, which its controller would have to work through though nothing changes.
const (
	AppLabel      = "towline.dev/app"
	PartOfLabel   = "applyset.kubernetes.io/part-of"
	SequenceLabel = "towline.dev/revision" // of journal entries as well
)

// Stamp returns a copy of an object with the marks of its application, which
// lives in namespace, whatever namespace the object is in. The revision is
// written where a later writer must be recognised: on workloads and on what
// sends them requests. Elsewhere it would only make an unchanged object look
// changed.
func Stamp(o *unstructured.Unstructured, app, namespace string, revision int) *unstructured.Unstructured {
	o = o.DeepCopy()
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[AppLabel], labels[PartOfLabel] = app, ApplySetID(app, namespace)
	if Fenced(kube.RefOf(o)) {
		labels[SequenceLabel] = strconv.Itoa(revision)
	}
	o.SetLabels(labels)
	return o
}

// Fenced tells whether objects of a kind carry the sequence.
func Fenced(ref kube.Ref) bool {
	switch ref.GVK().GroupKind().String() {
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "Service", "HTTPRoute.gateway.networking.k8s.io":
		return true
	}
	return false
}

// SequenceOf is the revision that an object carries, 0 when it has none.
func SequenceOf(o *unstructured.Unstructured) int {
	n, err := strconv.Atoi(o.GetLabels()[SequenceLabel])
	if err != nil {
		return 0
	}
	return n
}

// ApplySetID is the ApplySet ID of an application, by the specification's rule: a
// hash of its parent object, which is the application's Lease.
func ApplySetID(app, namespace string) string {
	sum := sha256.Sum256([]byte(LeaseName(app) + "." + namespace + ".Lease.coordination.k8s.io"))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// LeaseName is the name of an application's Lease.
func LeaseName(app string) string { return "towline-" + app }

// isOurs tells whether an entry of managedFields is of our applies.
func isOurs(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == kube.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
}

// YieldReplicas leaves spec.replicas to the autoscaler that sets it. Taking
// the field out of an apply that owned it alone would reset it to 1, so while
// we still own it the live number is sent instead; the autoscaler's first own
// change takes it over.
func YieldReplicas(o, live *unstructured.Unstructured, autoscaler string) (*unstructured.Unstructured, string) {
	if autoscaler == "" {
		return o, ""
	}
	unstructured.RemoveNestedField(o.Object, "spec", "replicas")
	if live == nil {
		return o, "replicas are left to " + autoscaler
	}
	replicas, found, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || !found || !ownsReplicas(live) {
		return o, "replicas are left to " + autoscaler
	}
	if err := unstructured.SetNestedField(o.Object, replicas, "spec", "replicas"); err != nil {
		return o, ""
	}
	return o, "replicas stay as they are, for " + autoscaler + " sets them"
}

func ownsReplicas(live *unstructured.Unstructured) bool {
	for _, entry := range live.GetManagedFields() {
		if !isOurs(entry) || entry.FieldsV1 == nil {
			continue
		}
		if ownsField(entry.FieldsV1.GetRawBytes(), "f:spec", "f:replicas") {
			return true
		}
	}
	return false
}
