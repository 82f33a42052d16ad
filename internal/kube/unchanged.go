package kube

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Unchanged tells whether an apply of an object would change nothing in the
// live one: the fields that it has are exactly those that we own, and their
// live values are those that it gives them. It asks nobody. What it cannot
// tell without the kind's schema, such as two ways of writing one quantity,
// counts as changed: the API server's dry-run knows better.
//
// Somebody else's change of one of our fields is seen, since it changes the
// value or the owner; so is a field that we own and the object has no more.
// The live object must have its managedFields. Labels named in ignore may
// differ in their value.
func Unchanged(live, object *unstructured.Unstructured, ignore ...string) bool {
	version := object.GetAPIVersion()
	if live.GetAPIVersion() != version || live.GetKind() != object.GetKind() || live.GetDeletionTimestamp() != nil {
		return false
	}
	owned, ok := ownedFields(live, version)
	return ok && owned.same(live.Object, essentials(object, live, ignore))
}

// ownedFields are the fields that we own by apply, not ok when we have not
// applied exactly once and by that version of the API.
func ownedFields(live *unstructured.Unstructured, version string) (fields ownership, ok bool) {
	var ours map[string]any
	for _, entry := range managedFields(live) {
		if entry["manager"] != FieldManager || entry["operation"] != string(metav1.ManagedFieldsOperationApply) || entry["subresource"] != nil {
			continue
		}
		if ours != nil {
			return nil, false
		}
		ours = entry
	}
	written, _ := ours["fieldsV1"].(map[string]any)
	if written == nil || ours["apiVersion"] != version {
		return nil, false
	}
	return written, true
}

// essentials is an object without its identity, which nobody owns, and with
// the live values of the labels to ignore. It shares with the object what is the
// same.
func essentials(object, live *unstructured.Unstructured, ignore []string) map[string]any {
	essence := maps.Clone(object.Object)
	delete(essence, "apiVersion")
	delete(essence, "kind")
	metadata, ok := essence["metadata"].(map[string]any)
	if !ok {
		return essence
	}
	metadata = maps.Clone(metadata)
	delete(metadata, "name")
	delete(metadata, "namespace")
	if labels, ok := metadata["labels"].(map[string]any); ok {
		labels, now := maps.Clone(labels), live.GetLabels()
		for _, label := range ignore {
			if _, ok := labels[label]; ok {
				labels[label] = now[label]
			}
		}
		metadata["labels"] = labels
	}
	if essence["metadata"] = metadata; len(metadata) == 0 {
		delete(essence, "metadata")
	}
	return essence
}

// ownership is a tree of owned fields as managedFields writes it: "f:NAME" is a
// field, "k:KEYS" an element of a list by the fields that tell it from others,
// "v:VALUE" an element of a set. One without children is owned as a whole; "."
// is the field itself, beside its children.
type ownership map[string]any

// len is the number of children.
func (f ownership) len() int {
	if _, itself := f["."]; itself {
		return len(f) - 1
	}
	return len(f)
}

// child is what is owned below a key, not there when nothing is.
func (f ownership) child(key string) (child ownership, there bool) {
	written, there := f[key]
	child, _ = written.(map[string]any)
	return child, there
}

// same tells whether the owned part of a live value is what is desired, and
// all that is desired is owned.
func (f ownership) same(live, desired any) bool {
	if f.len() == 0 {
		return desired != nil && equalJSON(live, desired)
	}
	switch desired := desired.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		return ok && f.sameMap(live, desired)
	case []any:
		live, ok := live.([]any)
		return ok && f.sameList(live, desired)
	}
	return false
}

func (f ownership) sameMap(live, desired map[string]any) bool {
	if f.len() != len(desired) {
		return false
	}
	for name, value := range desired {
		child, owned := f.child("f:" + name)
		now, there := live[name]
		if !owned || !there || !child.same(now, value) {
			return false
		}
	}
	return true
}

// sameList compares lists whose elements are owned one by one. The order
// counts, for an apply may change it.
func (f ownership) sameList(live, desired []any) bool {
	if f.len() != len(desired) {
		return false
	}
	last, used := -1, map[string]bool{}
	for _, element := range desired {
		key := f.element(element)
		if key == "" || used[key] {
			return false
		}
		used[key] = true
		child, _ := f.child(key)
		at := slices.IndexFunc(live, func(o any) bool { return isElement(key, o) })
		if at <= last || !child.same(live[at], element) {
			return false
		}
		last = at
	}
	return true
}

// element finds the one owned element of a list that a desired one can be. Of
// the fields that tell elements apart the desired one may leave some out, since
// they have defaults; when that leaves a choice there is none.
func (f ownership) element(desired any) (key string) {
	for candidate := range f {
		if !mayBeElement(candidate, desired) {
			continue
		}
		if key != "" {
			return ""
		}
		key = candidate
	}
	return key
}

// mayBeElement tells whether a desired element contradicts no part of a key.
func mayBeElement(key string, desired any) bool {
	kind, text, _ := strings.Cut(key, ":")
	if kind != "k" {
		return isElement(key, desired)
	}
	element, isMap := desired.(map[string]any)
	var names map[string]any
	if !isMap || decode(text, &names) != nil {
		return false
	}
	for name, value := range names {
		if got, there := element[name]; there && !equalJSON(got, value) {
			return false
		}
	}
	return true
}

// isElement tells whether a live element is the one that a key names.
func isElement(key string, live any) bool {
	kind, text, _ := strings.Cut(key, ":")
	switch kind {
	case "v":
		var value any
		return decode(text, &value) == nil && equalJSON(live, value)
	case "k":
		element, isMap := live.(map[string]any)
		var names map[string]any
		if !isMap || decode(text, &names) != nil {
			return false
		}
		for name, value := range names {
			if got, there := element[name]; !there || !equalJSON(got, value) {
				return false
			}
		}
		return true
	}
	return false
}

// decode keeps numbers as they are written.
func decode(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// equalJSON compares values by their JSON, in which a number is the same
// whatever type it was read as.
func equalJSON(a, b any) bool {
	switch left := a.(type) {
	case string:
		right, ok := b.(string)
		return ok && left == right
	case bool:
		right, ok := b.(bool)
		return ok && left == right
	case int64:
		if right, ok := b.(int64); ok {
			return left == right
		}
	}
	left, err := json.Marshal(a)
	if err != nil {
		return false
	}
	right, err := json.Marshal(b)
	return err == nil && bytes.Equal(left, right)
}
