package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// clientSide are the managers under which `kubectl apply` without --server-side
// owns fields, and under which the API server keeps those of before there was
// ownership.
var clientSide = sets.New("kubectl-client-side-apply", "before-first-apply")

// migrateAttempts is how often an object may change between a read and the
// write of its ownership.
const migrateAttempts = 10

// ClientSideApplied tells whether somebody has brought an object here with
// `kubectl apply`. What a manifest then leaves out would stay in the object for
// ever, and what it changes would be a conflict, unless Migrate is called.
func ClientSideApplied(live *unstructured.Unstructured) bool {
	return live != nil && slices.ContainsFunc(managedFields(live), func(entry map[string]any) bool {
		manager, _ := entry["manager"].(string)
		operation, _ := entry["operation"].(string)
		return entry["subresource"] == nil && isClientSide(manager, metav1.ManagedFieldsOperationType(operation))
	})
}

func isClientSide(manager string, operation metav1.ManagedFieldsOperationType) bool {
	return clientSide.Has(manager) && operation == metav1.ManagedFieldsOperationUpdate
}

// managedFields are an object's entries of that name as they were read: to
// make them into the API's type, as GetManagedFields does, takes longer than to
// read the whole object.
func managedFields(live *unstructured.Unstructured) []map[string]any {
	metadata, _ := live.Object["metadata"].(map[string]any)
	written, _ := metadata["managedFields"].([]any)
	entries := make([]map[string]any, len(written))
	for i := range written {
		entries[i], _ = written[i].(map[string]any)
	}
	return entries
}

// OnlyClientSide tells whether all conflicts are about fields that Migrate
// would hand over.
func (e *ConflictError) OnlyClientSide() bool {
	return !slices.ContainsFunc(e.Conflicts, func(c Conflict) bool { return !clientSide.Has(c.Manager) })
}

// Migrated is a copy of an object with its fields owned as Migrate would leave
// them. Nothing is sent.
func Migrated(live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	live = live.DeepCopy()
	if err := csaupgrade.UpgradeManagedFields(live, clientSide, FieldManager); err != nil {
		return nil, fmt.Errorf("read who owns the fields of %s: %w", RefOf(live), err)
	}
	return live, nil
}

// Migrate makes the fields that `kubectl apply` owns our own, as if the object
// had been applied by us. Nothing else of it changes. An object without such
// fields is left alone.
func (c *Cluster) Migrate(ctx context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ref := RefOf(live)
	resource, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, clientSide, FieldManager)
		if err != nil {
			return nil, fmt.Errorf("read who owns the fields of %s: %w", ref, err)
		}
		if patch == nil {
			return live, nil
		}
		var migrated *unstructured.Unstructured
		err = retry(ctx, func(ctx context.Context) (err error) {
			migrated, err = resource.Patch(ctx, ref.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
			return err
		})
		if err == nil {
			return migrated, nil
		}
		if !IsStale(err) || attempt == migrateAttempts {
			return nil, fmt.Errorf("take over the fields of %w", c.explain(ref, err))
		}
		if live, err = c.Get(ctx, ref); err != nil {
			return nil, err
		}
	}
}

// MigrateRequest is the request that Migrate sends, for the log.
func MigrateRequest(resource Resource, namespace, name string) string {
	return "PATCH " + resource.Path(namespace, name) + " (managedFields)"
}

// lastApplied is the annotation in which kubectl keeps the manifest that it has
// applied last.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// WithoutClientSide is what an apply would make of an object once it is
// migrated, when applied is the answer to a dry-run of the same apply before:
// without the fields that only `kubectl apply` owns and that were in its
// manifest. What else it owns are defaults, which come back by themselves. It
// is for showing; where a field cannot be followed it stays.
func WithoutClientSide(applied *unstructured.Unstructured) *unstructured.Unstructured {
	gone, others := &fieldpath.Set{}, &fieldpath.Set{}
	for _, entry := range applied.GetManagedFields() {
		var owned fieldpath.Set
		if entry.FieldsV1 == nil || owned.FromJSON(entry.FieldsV1.GetRawReader()) != nil {
			continue
		}
		if entry.Subresource == "" && isClientSide(entry.Manager, entry.Operation) {
			gone = gone.Union(&owned)
		} else {
			others = others.Union(&owned)
		}
	}
	var manifest map[string]any
	annotations := applied.GetAnnotations()
	_ = json.Unmarshal([]byte(annotations[lastApplied]), &manifest) // One that cannot be read names no fields.
	var paths []fieldpath.Path
	gone.Difference(others).Iterate(func(p fieldpath.Path) {
		if has(manifest, p) && !ownsBelow(others, p) {
			paths = append(paths, p.Copy())
		}
	})
	applied = applied.DeepCopy()
	if delete(annotations, lastApplied); len(annotations) == 0 {
		annotations = nil
	}
	applied.SetAnnotations(annotations)
	// A whole item goes before the name in it, by which it is found.
	slices.SortStableFunc(paths, func(a, b fieldpath.Path) int { return cmp.Compare(len(a), len(b)) })
	for _, path := range paths {
		removeAt(applied.Object, path)
	}
	return applied
}

// has tells whether there is anything at a path of a manifest.
func has(in any, path fieldpath.Path) bool {
	if len(path) == 0 {
		return true
	}
	switch at := in.(type) {
	case map[string]any:
		if path[0].FieldName == nil {
			return false
		}
		inner, ok := at[*path[0].FieldName]
		return ok && has(inner, path[1:])
	case []any:
		return slices.ContainsFunc(at, func(item any) bool { return matches(path[0], item) && has(item, path[1:]) })
	}
	return false
}

// ownsBelow tells whether a set has anything at or below a path.
func ownsBelow(set *fieldpath.Set, path fieldpath.Path) bool {
	if set.Has(path) {
		return true
	}
	for _, element := range path {
		set = set.WithPrefix(element)
	}
	return !set.Empty()
}

// removeAt is a value of JSON without what is at a path. What cannot be found
// is not there.
func removeAt(in any, path fieldpath.Path) any {
	last := len(path) == 1
	switch at := in.(type) {
	case map[string]any:
		name := path[0].FieldName
		if name == nil {
			return in
		}
		if last {
			delete(at, *name)
		} else if inner, ok := at[*name]; ok {
			at[*name] = removeAt(inner, path[1:])
		}
	case []any:
		i := slices.IndexFunc(at, func(item any) bool { return matches(path[0], item) })
		if path[0].Index != nil {
			i = *path[0].Index
		}
		if i < 0 || i >= len(at) {
			return in
		}
		if last {
			return slices.Delete(at, i, i+1)
		}
		at[i] = removeAt(at[i], path[1:])
	}
	return in
}

// matches tells whether an item of a list is the one that a path means: by its
// key fields, or by itself.
func matches(element fieldpath.PathElement, item any) bool {
	if element.Value != nil {
		return value.Equals(*element.Value, value.NewValueInterface(item))
	}
	object, ok := item.(map[string]any)
	if element.Key == nil || !ok {
		return false
	}
	for _, field := range *element.Key {
		given, written := object[field.Name] // A manifest leaves defaults such as protocol TCP out.
		if written && !value.Equals(field.Value, value.NewValueInterface(given)) {
			return false
		}
	}
	return true
}
