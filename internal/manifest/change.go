package manifest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Change is one thing that was done to an object, or that the user should
// know about it. It prints as one line of the log.
type Change struct {
	Object string // as Ref names it
	Source Source
	Field  string // such as spec.template.spec.containers[web].image; empty when it concerns the whole object
	Old    string // as compact JSON, strings without quotes; empty when the field was absent
	New    string // likewise; empty for warnings
	Reason string
	Kind   ChangeKind
}

// ChangeKind says whether an object was changed.
type ChangeKind string

// The kinds of changes.
const (
	// Completed: the field was absent or could not have worked, and was set.
	Completed ChangeKind = "completed"
	// Replaced: the field was set because the user asked for it.
	Replaced ChangeKind = "replaced"
	// Warned: nothing was changed, but requests may be lost.
	Warned ChangeKind = "warning"
)

// String is one line: `completed Deployment/web spec.minReadySeconds: 0 -> 5 (why)`.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", c.Kind, c.Object)
	if c.Field != "" {
		b.WriteString(" " + c.Field)
	}
	switch {
	case c.Kind == Warned && c.Old != "":
		b.WriteString(": " + c.Old)
	case c.Kind == Warned:
	case c.Old == "":
		b.WriteString(": " + c.New)
	default:
		fmt.Fprintf(&b, ": %s -> %s", c.Old, c.New)
	}
	if c.Kind == Warned {
		b.WriteString(": " + c.Reason)
	} else if c.Reason != "" {
		b.WriteString(" (" + c.Reason + ")")
	}
	return b.String()
}

// change completes a Change of the object whose Kind, Field and Reason are set.
// The values are still what they are in the object.
func change(o Object, c Change, before, after any) Change {
	c.Object, c.Source, c.Old, c.New = Ref(o.Unstructured), o.Source, show(before), show(after)
	return c
}

func warn(o Object, field string, value any, format string, args ...any) Change {
	return change(o, Change{Kind: Warned, Field: field, Reason: fmt.Sprintf(format, args...)}, value, nil)
}

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// setNested sets a field and makes the maps on the way where they are missing
// or null. It does nothing and returns false when something else stands there.
func setNested(m map[string]any, value any, fields ...string) bool {
	last := len(fields) - 1
	for _, field := range fields[:last] {
		if m[field] == nil {
			m[field] = map[string]any{}
		}
		next, ok := m[field].(map[string]any)
		if !ok {
			return false
		}
		m = next
	}
	m[fields[last]] = value
	return true
}
