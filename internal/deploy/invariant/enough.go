package invariant

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// EnoughOf is how many pods of a workload stay ready while it replaces them by
// itself, by its own replicas and update strategy; the others may be missing
// for a while. It is what Config.Services needs for strategy rolling. Of a
// DaemonSet it needs the live object, for its manifest does not say how many
// pods there are.
func EnoughOf(workload *unstructured.Unstructured) int {
	number := func(absent int64, path ...string) int64 {
		if n, found, err := unstructured.NestedInt64(workload.Object, path...); err == nil && found {
			return n
		}
		return absent
	}
	unavailable := func(absent string, path ...string) intstr.IntOrString {
		switch value, _, _ := unstructured.NestedFieldNoCopy(workload.Object, path...); value := value.(type) {
		case int64:
			return intstr.FromInt32(int32(min(value, math.MaxInt32)))
		case string:
			return intstr.Parse(value)
		}
		return intstr.Parse(absent)
	}
	strategy := func(path ...string) string {
		text, _, err := unstructured.NestedString(workload.Object, path...)
		if err != nil {
			return ""
		}
		return text
	}
	replicas := number(1, "spec", "replicas")
	switch workload.GetKind() {
	case "Deployment":
		if strategy("spec", "strategy", "type") == "Recreate" {
			return 0
		}
		return left(replicas, unavailable("25%", "spec", "strategy", "rollingUpdate", "maxUnavailable"), false)
	case "StatefulSet":
		if strategy("spec", "updateStrategy", "type") == "OnDelete" {
			return int(replicas)
		}
		return left(replicas, unavailable("1", "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), true)
	case "DaemonSet":
		return left(number(0, "status", "desiredNumberScheduled"), unavailable("1", "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), true)
	}
	return 0
}

// left is what stays of so many when some may be unavailable. A share of a
// Deployment is rounded down, of the others up.
func left(of int64, unavailable intstr.IntOrString, up bool) int {
	missing, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, int(min(of, math.MaxInt32)), up)
	if err != nil {
		return 0
	}
	return max(0, int(of)-missing)
}
