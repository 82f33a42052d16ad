package plan

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/kube"
)

// ScaledBy is who has set an object's replicas last, as its managed fields have
// it: kube.FieldManager for this program, empty when nobody has.
func ScaledBy(live *unstructured.Unstructured) string {
	by := ""
	for _, entry := range live.GetManagedFields() {
		if entry.FieldsV1 == nil || !ownsField(entry.FieldsV1.GetRawBytes(), "f:spec", "f:replicas") {
			continue
		}
		if by = entry.Manager; by == kube.FieldManager {
			return by // Others want the same number.
		}
	}
	return by
}

// ownsField looks a path up in the fieldsV1 form of managedFields.
func ownsField(raw []byte, path ...string) bool {
	var fields map[string]json.RawMessage
	if len(path) == 0 {
		return true
	}
	if json.Unmarshal(raw, &fields) != nil {
		return false
	}
	next, ok := fields[path[0]]
	return ok && ownsField(next, path[1:]...)
}
