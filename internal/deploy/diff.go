package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/towline/towline/internal/deploy/journal"
	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
)

// Preview is what a deployment would do.
type Preview struct {
	App       string `json:"app"`
	Namespace string `json:"namespace"`
	Cluster   string `json:"cluster"`
	Revision  int    `json:"revision"`
	Previous  int    `json:"previous,omitempty"`
	Strategy  string `json:"strategy"`
	Method    string `json:"method"`
	// NewNamespace says that the namespace is not there yet: the API server
	// could not be asked about what goes into it.
	NewNamespace bool           `json:"newNamespace,omitempty"`
	Steps        []string       `json:"steps"` // as the log of the deployment would name them
	Objects      []ObjectChange `json:"objects,omitempty"`
	Unchanged    int            `json:"unchanged"` // objects that stay as they are
}

// ObjectChange is what becomes, or has become, of one object.
type ObjectChange struct {
	Object string `json:"object"` // such as Deployment web
	Source string `json:"source,omitempty"`
	// Change is create, update, delete or keep: what is kept is in the manifests
	// no more, but not deleted either. Of drift it is missing, changed, stranger.
	Change string   `json:"change"`
	Note   string   `json:"note,omitempty"`
	Diff   []string `json:"diff,omitempty"` // see manifest.Diff
}

// Preview tells what a deployment would do, and does nothing: no namespace, no
// lease and no revision is written. A refusal is what would end the deployment
// before its first change.
func (d *Deployer) Preview(ctx context.Context, request Request) (Preview, error) {
	r := d.toPreview(request)
	objects, err := r.ready(ctx, request)
	if err != nil {
		return Preview{}, err
	}
	ctx = kube.WithWarnings(ctx, func(text string) { r.log.Line("        the API server warns: %s", text) })
	_, err = r.Cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: r.record.Namespace})
	if r.newNamespace = kube.IsNotFound(err); err != nil && !r.newNamespace && !kube.Refused(err) {
		return Preview{}, err
	}
	if r.journal, err = journal.Open(ctx, r.Cluster, r.record.App, r.record.Namespace); err != nil {
		return Preview{}, err
	}
	if objects, err = r.resolve(ctx, objects); err != nil {
		return Preview{}, err
	}
	if err := r.fence(ctx); err != nil {
		return Preview{}, err
	}
	if err := r.fits(objects, false); err != nil {
		return Preview{}, err
	}
	steps, _, err := r.intend(ctx, objects)
	if err != nil {
		return Preview{}, err
	}
	return r.preview(steps), nil
}

// preview is the plan as it is shown.
func (r *run) preview(steps []plan.Step) Preview {
	p := Preview{
		App: r.record.App, Namespace: r.record.Namespace, Cluster: r.record.Cluster, Revision: r.record.Revision, Previous: r.record.Previous,
		Strategy: r.record.Strategy, Method: r.record.Method, NewNamespace: r.newNamespace,
	}
	sources := map[string]string{}
	for _, o := range r.situation.Desired {
		sources[kube.RefOf(o.Unstructured).ID()] = o.Source.String()
	}
	for _, s := range steps {
		p.Steps = append(p.Steps, s.String())
		change := ObjectChange{Object: s.Ref.String(), Source: sources[s.Ref.ID()]}
		switch {
		case s.Verb == plan.VerbPrune && s.UID == "":
			change.Change, change.Note = "keep", s.Text
		case s.Verb == plan.VerbPrune:
			change.Change, change.Note = "delete", s.Text
		case s.Verb == plan.VerbSwitch:
			change.Change, change.Note = string(plan.Update), s.Text
		case s.Verb == plan.VerbRun:
			change.Change, change.Note, change.Diff = string(plan.Create), s.Text, linesOf(nil, s.Object)
		case s.Verb == plan.VerbApply && s.Change == plan.Unchanged:
			p.Unchanged++
			continue
		case s.Verb == plan.VerbApply:
			r.previewApply(s, &change)
		default:
			continue
		}
		p.Objects = append(p.Objects, change)
	}
	return p
}

// previewApply shows what an apply would make of its object.
func (r *run) previewApply(s plan.Step, change *ObjectChange) {
	live, after := s.Live, r.situation.Merged[s.Ref.ID()]
	if after == nil || live == nil {
		after = s.Object // The defaults that the API server adds would only be in the way.
	}
	if original := r.claimed[s.Ref.ID()]; original != nil {
		live, change.Note = original, "came with kubectl apply, whose fields become towline's"
	}
	change.Change, change.Diff = string(s.Change), linesOf(live, after)
}

// Drift is what has become of an application since its last good revision.
type Drift struct {
	App       string         `json:"app"`
	Namespace string         `json:"namespace"`
	Revision  int            `json:"revision"`           // the last good one, which is compared
	UnderWay  int            `json:"underWay,omitempty"` // a later one that has not ended
	Objects   []ObjectChange `json:"objects,omitempty"`
	Compared  int            `json:"compared"` // objects of the revision
}

// Drift compares the live objects with the last good revision of the cluster's
// journal: what another apply of it would change, what is missing, and what
// carries the application's marks and was in no revision. It needs neither git
// nor a server and writes nothing.
func (d *Deployer) Drift(ctx context.Context, namespace, app string) (Drift, error) {
	if _, err := d.Cluster.Ping(ctx); err != nil {
		return Drift{}, err
	}
	j, err := journal.Open(ctx, d.Cluster, app, namespace)
	if err != nil {
		return Drift{}, err
	}
	e := j.GoodBefore(j.Latest() + 1)
	if e == nil {
		return Drift{}, fmt.Errorf("no revision of %s in namespace %s has succeeded: there is nothing to compare with", app, namespace)
	}
	drift := Drift{App: app, Namespace: namespace, Revision: e.Revision()}
	if last := j.ByRevision(j.Latest()); last.Phase != journal.Ended {
		drift.UnderWay = last.Revision()
	}
	r := d.toCompare(j, e)
	objects, err := e.Objects()
	if err != nil {
		return drift, err
	}
	s, err := r.survey(ctx, objects)
	if err != nil {
		return drift, err
	}
	drift.Compared = len(s.Desired)
	if drift.Objects, err = r.drifted(ctx, s); err != nil {
		return drift, err
	}
	strangers, err := r.strangers(ctx)
	drift.Objects = append(drift.Objects, strangers...)
	return drift, err
}

// drifted are the desired objects that are not as they should be.
func (r *run) drifted(ctx context.Context, s plan.Situation) ([]ObjectChange, error) {
	var changes []ObjectChange
	present := s
	present.Desired = nil
	for _, o := range s.Desired {
		ref := kube.RefOf(o.Unstructured)
		if s.Live[ref.ID()] == nil && ref.Kind == "Job" {
			continue // It has run, and may be deleted when its time is over.
		}
		if s.Live[ref.ID()] == nil {
			changes = append(changes, ObjectChange{Object: ref.String(), Source: o.Source.String(), Change: "missing", Note: "it was deleted since"})
			continue
		}
		present.Desired = append(present.Desired, o)
	}
	merged, err := r.dryRunAll(ctx, present)
	if err != nil {
		return nil, err
	}
	for _, o := range present.Desired {
		id := kube.RefOf(o.Unstructured).ID()
		live := cmp.Or(r.claimed[id], s.Live[id])
		if lines := linesOf(merged[id], live); len(lines) > 0 {
			changes = append(changes, ObjectChange{
				Object: kube.RefOf(o.Unstructured).String(), Source: o.Source.String(), Change: "changed", Note: touchedBy(live), Diff: lines,
			})
		}
	}
	return changes, nil
}

// linesOf is how the second of two states of an object differs from the first.
func linesOf(before, after *unstructured.Unstructured) []string {
	var lines []string
	for _, line := range manifest.Diff(before, after) {
		lines = append(lines, line.String())
	}
	return lines
}

// touchedBy names who else has written an object, and when.
func touchedBy(live *unstructured.Unstructured) string {
	text := ""
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == kube.FieldManager || entry.Subresource != "" || entry.Manager == "kube-controller-manager" {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += entry.Manager
		if entry.Time != nil {
			text += " at " + entry.Time.UTC().Format("2006-01-02 15:04:05Z")
		}
	}
	if text == "" {
		return ""
	}
	return "written by " + text
}

// scattered are the kinds that are looked through for strangers, beside those
// of the revision.
var scattered = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"}, {Version: "v1", Kind: "Service"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
}

// strangers carry the application's marks and are in no revision of the
// journal: nobody would ever delete them.
func (r *run) strangers(ctx context.Context) ([]ObjectChange, error) {
	known, kinds := map[string]bool{}, slices.Clone(scattered)
	for _, e := range r.journal.Entries {
		objects, err := e.Objects()
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			ref := kube.RefOf(o.Unstructured)
			known[ref.ID()] = true
			if ref.Namespace != "" && !slices.Contains(kinds, ref.GVK()) {
				kinds = append(kinds, ref.GVK())
			}
		}
	}
	var changes []ObjectChange
	selector := plan.PartOfLabel + "=" + plan.ApplySetID(r.record.App, r.record.Namespace)
	for _, gvk := range kinds {
		live, err := r.Cluster.List(ctx, gvk, r.record.Namespace, selector)
		if kube.Refused(err) {
			continue // The kind is not served any more, or not for us to list.
		}
		if err != nil {
			return nil, err
		}
		for i := range live {
			ref := kube.RefOf(&live[i])
			if !known[ref.ID()] && len(live[i].GetOwnerReferences()) == 0 {
				changes = append(changes, ObjectChange{Object: ref.String(), Change: "stranger", Note: "has the marks of " + r.record.App + " and is in no revision of its journal"})
			}
		}
	}
	return changes, nil
}
