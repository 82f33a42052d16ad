package plan

import "encoding/json"

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
