package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// ApplyOptions change what Apply does.
type ApplyOptions struct {
	DryRun  bool   // the API server checks everything and keeps nothing
	Force   bool   // take over fields that another manager owns
	Manager string // default FieldManager
	// Subresource is what is sent to instead of the object itself, such as
	// status. It must be there already.
	Subresource string
	// Brief says that the answer may be the object's metadata only: who applies
	// many objects and asks for their versions alone spares both sides the rest.
	Brief bool
}

// Absent as the resourceVersion of an object that is applied says that there is
// to be none yet: the apply makes one, and a live object, whose version is
// always a later one, is refused as stale.
const Absent = "1"

// Apply sends the object as a server-side apply and returns it as the cluster
// then has it. When the object carries a resourceVersion, a live object with
// another one is refused (see IsStale). A field that another manager owns is a
// *ConflictError, unless Force is set.
func (c *Cluster) Apply(ctx context.Context, obj *unstructured.Unstructured, options ApplyOptions) (*unstructured.Unstructured, error) {
	send, err := c.patcher(RefOf(obj), options.Brief)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", RefOf(obj), err)
	}
	body, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", RefOf(obj), err)
	}
	patch := metav1.PatchOptions{FieldManager: cmp.Or(options.Manager, FieldManager), Force: &options.Force, FieldValidation: metav1.FieldValidationStrict}
	if options.DryRun {
		patch.DryRun = []string{metav1.DryRunAll}
	}
	var below []string
	if options.Subresource != "" {
		below = append(below, options.Subresource)
	}
	var applied *unstructured.Unstructured
	for attempt := 1; ; attempt++ {
		err = retry(ctx, func(ctx context.Context) (err error) {
			applied, err = send(ctx, obj.GetName(), types.ApplyPatchType, body, patch, below...)
			return err
		})
		if err == nil {
			return applied, nil
		}
		// What the apply is to be based on is not said, so that it may be based
		// on what somebody else has just written.
		err = c.explain(RefOf(obj), err)
		if obj.GetResourceVersion() != "" || !IsStale(err) || attempt == racesLost {
			return nil, err
		}
	}
}

// racesLost is how often an apply may meet somebody else's write of the same
// object before it is given up.
const racesLost = 10

// Conflict is one field that another manager owns.
type Conflict struct {
	Field   string // such as .spec.replicas
	Manager string // such as kubectl-edit
}

// ConflictError says which fields of an object belong to someone else.
type ConflictError struct {
	Ref       Ref
	Conflicts []Conflict
}

func (e *ConflictError) Error() string {
	var fields, managers []string
	for _, c := range e.Conflicts {
		fields = append(fields, fmt.Sprintf("%s is owned by %q", c.Field, c.Manager))
		if !slices.Contains(managers, c.Manager) {
			managers = append(managers, c.Manager)
		}
	}
	return fmt.Sprintf("%s has fields that someone else has set: %s. Take the fields out of the manifest, or take the change back: `towline diff` shows it, and `towline rollback --to REVISION` with the running revision undoes it",
		e.Ref, strings.Join(fields, "; "))
}

// IsStale tells that an object changed between the read and the guarded write.
func IsStale(err error) bool {
	var conflict *ConflictError
	return apierrors.IsConflict(err) && !errors.As(err, &conflict)
}

// explain turns an API error about one object into what a user should read.
func (c *Cluster) explain(ref Ref, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	var conflicts []Conflict
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			conflicts = append(conflicts, Conflict{Field: cause.Field, Manager: quoted(cause.Message)})
		}
	}
	if len(conflicts) > 0 {
		return &ConflictError{Ref: ref, Conflicts: conflicts}
	}
	return fmt.Errorf("%s: %w", ref, err)
}

// quoted is what stands between the first two double quotes: the API server
// names the owner in the text `conflict with "NAME" using apps/v1` only.
func quoted(text string) string {
	_, rest, ok := strings.Cut(text, `"`)
	name, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return text
	}
	return name
}

// resource is the dynamic client of one object's kind and namespace.
func (c *Cluster) resource(ref Ref) (dynamic.ResourceInterface, error) {
	served, err := c.Resource(ref.GVK())
	if err != nil {
		return nil, err
	}
	if served.Namespaced {
		return c.dynamic.Resource(served.GVR).Namespace(ref.Namespace), nil
	}
	return c.dynamic.Resource(served.GVR), nil
}
