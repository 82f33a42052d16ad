package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var surgeForm = regexp.MustCompile(`^[0-9]{1,4}%?$`)

// SetSurge sets how many pods more than wanted a rolling update of the
// Deployments may run at a time: a number from 1, or a share such as "25%".
// Empty leaves the manifests as they are.
func SetSurge(objs []Object, surge string) ([]Change, error) {
	if surge == "" {
		return nil, nil
	}
	number, err := strconv.Atoi(strings.TrimSuffix(surge, "%"))
	if !surgeForm.MatchString(surge) || err != nil {
		return nil, &Error{Message: fmt.Sprintf("surge is %q", surge), Hint: `write a number of pods such as 2, or a share such as "25%"`}
	}
	if number == 0 {
		return nil, &Error{Message: fmt.Sprintf("surge is %q: an old pod would have to end before its successor serves", surge), Hint: "write at least 1"}
	}
	value := any(int64(number))
	if strings.HasSuffix(surge, "%") {
		value = surge
	}
	fields := []string{"spec", "strategy", "rollingUpdate", "maxSurge"}
	var changes []Change
	for _, o := range OfKind(objs, "apps", "Deployment") {
		if t := stringAt(o.Object, "spec", "strategy", "type"); t != "" && t != "RollingUpdate" {
			changes = append(changes, warn(o, "spec.strategy.type", t, "a surge of %s does not apply to it", surge))
			continue
		}
		old, _ := valueAt(o.Object, fields...)
		if old == value || !setNested(o.Object, value, fields...) {
			continue
		}
		changes = append(changes, change(o, Change{Kind: Replaced, Field: strings.Join(fields, "."), Reason: "surge"}, old, value))
	}
	return changes, nil
}
