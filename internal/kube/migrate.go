package kube

import (
	"cmp"
	"context"
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
	return live != nil && slices.ContainsFunc(live.GetManagedFields(), isClientSide)
}

func isClientSide(entry metav1.ManagedFieldsEntry) bool {
	return clientSide.Has(entry.Manager) && entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == ""
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

// WithoutClientSide is what an apply would make of an object once it is
// migrated, when applied is the answer to a dry-run of the same apply before:
// without the fields that `kubectl apply` alone owns. It is for showing; where
// a field cannot be followed it stays.
func WithoutClientSide(applied *unstructured.Unstructured) *unstructured.Unstructured {
	gone, others := &fieldpath.Set{}, &fieldpath.Set{}
	for _, entry := range applied.GetManagedFields() {
		var owned fieldpath.Set
		if entry.FieldsV1 == nil || owned.FromJSON(entry.FieldsV1.GetRawReader()) != nil {
			continue
		}
		if isClientSide(entry) {
			gone = gone.Union(&owned)
		} else {
			others = others.Union(&owned)
		}
	}
	gone = gone.Difference(others)
	if gone.Empty() {
		return applied
	}
	var paths []fieldpath.Path
	gone.Iterate(func(p fieldpath.Path) { paths = append(paths, p.Copy()) })
	// What is inside goes before what it is inside of.
	slices.SortStableFunc(paths, func(a, b fieldpath.Path) int { return cmp.Compare(len(b), len(a)) })
	applied = applied.DeepCopy()
	for _, path := range paths {
		if !ownsBelow(others, path) {
			removeAt(applied.Object, path)
		}
	}
	return applied
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
		if !value.Equals(field.Value, value.NewValueInterface(object[field.Name])) {
			return false
		}
	}
	return true
}
