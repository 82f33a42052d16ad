// Package journal is what the cluster itself remembers of an application: a
// Secret per revision, with its rendered manifests, the steps done and the
// verdict, and the Lease of whoever deploys at the moment. All that resuming,
// going back and listing need is here. Of plans the room knows the marks on
// objects and the names of steps, not how they are made or carried out.
package journal

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/deploy/verdict"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// The form of the journal: one Secret per revision, as Helm keeps releases.
// Secrets, because manifests hold secrets.
const (
	Type           = "towline.dev/revision.v1"
	recordKey      = "record"    // JSON of record
	manifestsKey   = "manifests" // gzip of manifest.Encode
	Kept           = 10
	maxJournalSize = 1 << 20  // of a Secret
	recordRoom     = 48 << 10 // of it for a record without its steps: the message has a pod's log
	stepsRoom      = 640      // of it for the steps done with one object, those of a revert as well
	maxUnpacked    = 64 << 20
	saveTime       = time.Minute
)

// Phase says how far a revision has come. The arrows:
//
//	deploying -> ended
//	deploying -> reverting -> ended
type Phase string

// The phases.
const (
	Deploying Phase = "deploying"
	Reverting Phase = "reverting"
	Ended     Phase = "ended"
)

// Record is what the journal keeps of a revision beside its manifests.
type Record struct {
	Deployment pipeline.Deployment `json:"deployment"`
	Key        string              `json:"key"`
	Phase      Phase               `json:"phase"`
	Takes      int                 `json:"takes"`            // how often a process has taken it up, from 1
	Waiting    time.Time           `json:"waiting,omitzero"` // since when for a decision: see Decide
	Cause      string              `json:"cause,omitempty"`  // why it is being reverted
	// Counted is what the requests through the revision have come to so far.
	Counted    *verdict.Counted `json:"counted,omitempty"`
	RollbackTo int              `json:"rollbackTo,omitempty"`
	// Settings are those that the deployment was asked for with: a resume needs
	// all of them, and a rollback is measured as the deployment was.
	Settings pipeline.Deploy `json:"settings,omitzero"`
	Done     []DoneStep      `json:"done,omitempty"`
	Passed   []Passed        `json:"passed,omitempty"`
	// Adopted are the objects that were there before and were nobody's. They
	// are the application's own only once the revision has succeeded: until
	// then no revert and no later revision may delete them.
	Adopted []kube.Ref `json:"adopted,omitempty"`
	// Before says that nobody deployed the revision: it holds what the first
	// deployment adopted, as it was. It is one to go back to, and still owns
	// nothing.
	Before bool `json:"before,omitempty"`
}

// DoneStep is a step that has been carried out, by the identity of the object
// that it left.
type DoneStep struct {
	Verb            plan.Verb `json:"verb"`
	Ref             kube.Ref  `json:"ref"`
	UID             string    `json:"uid,omitempty"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
	Reverting       bool      `json:"reverting,omitempty"`
	Ended           bool      `json:"ended,omitempty"` // of a hook's Job, which is noted when it is made
}

// Entry is one revision in the journal.
type Entry struct {
	Record
	secret *corev1.Secret
}

// Revision is the number of the revision.
func (e *Entry) Revision() int { return e.Deployment.Revision }

// Name is that of the Secret.
func (e *Entry) Name() string { return e.secret.Name }

// Good tells whether the revision is one to go back to.
func (e *Entry) Good() bool { return e.Phase == Ended && e.Deployment.Outcome == pipeline.Succeeded }

// Made are the objects that the revision may have brought into the cluster and
// that may go when it is given up.
func (e *Entry) Made() ([]kube.Ref, error) {
	objects, err := e.Objects()
	if err != nil {
		return nil, err
	}
	var refs []kube.Ref
	for _, o := range objects {
		ref := kube.RefOf(o.Unstructured)
		if e.Good() && !e.Before || !slices.Contains(e.Adopted, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// Objects are the rendered manifests of the revision.
func (e *Entry) Objects() ([]manifest.Object, error) {
	reader, err := gzip.NewReader(bytes.NewReader(e.secret.Data[manifestsKey]))
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.Revision(), err)
	}
	text, err := io.ReadAll(io.LimitReader(reader, maxUnpacked+1))
	if err == nil && len(text) > maxUnpacked { // a part of them would have the rest pruned
		err = fmt.Errorf("its manifests are larger than %d MiB", maxUnpacked>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.Revision(), err)
	}
	objects, err := manifest.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.Revision(), err)
	}
	return objects, nil
}

// Journal is the list of an application's revisions in the cluster.
type Journal struct {
	cluster   *kube.Cluster
	app       string
	namespace string
	Entries   []*Entry // oldest first
}

func nameOf(app string, revision int) string {
	return fmt.Sprintf("towline-%s-v%d", app, revision)
}

// Open reads an application's journal.
func Open(ctx context.Context, c *kube.Cluster, app, namespace string) (*Journal, error) {
	secrets, err := c.Secrets(ctx, namespace, plan.AppLabel+"="+app+","+plan.SequenceLabel)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", app, err)
	}
	j := &Journal{cluster: c, app: app, namespace: namespace}
	for i := range secrets {
		if secrets[i].Type != Type {
			continue
		}
		record, err := readRecord(&secrets[i])
		if err != nil {
			return nil, err
		}
		j.Entries = append(j.Entries, &Entry{Record: record, secret: &secrets[i]})
	}
	slices.SortFunc(j.Entries, func(a, b *Entry) int { return cmp.Compare(a.Revision(), b.Revision()) })
	return j, nil
}

// ByKey is the revision that was begun under a key, nil when there is none.
func (j *Journal) ByKey(key string) *Entry {
	for _, e := range slices.Backward(j.Entries) {
		if e.Key == key {
			return e
		}
	}
	return nil
}

// ByRevision is the revision of that number, nil when there is none.
func (j *Journal) ByRevision(revision int) *Entry {
	for _, e := range j.Entries {
		if e.Revision() == revision {
			return e
		}
	}
	return nil
}

// Latest is the number of the last revision, 0 when there is none.
func (j *Journal) Latest() int {
	if len(j.Entries) == 0 {
		return 0
	}
	return j.Entries[len(j.Entries)-1].Revision()
}

// GoodBefore is the last revision before another one that succeeded, nil when
// there is none. It is what the cluster ran before that other one.
func (j *Journal) GoodBefore(revision int) *Entry {
	for _, e := range slices.Backward(j.Entries) {
		if e.Revision() < revision && e.Good() {
			return e
		}
	}
	return nil
}

// Settled is the lowest revision from which on all before another one have
// succeeded; that other one itself when the last one before it has not. What
// carries a settled revision has no process left that might still write
// something else: each of them came to its end, and the end was what it had
// planned.
func (j *Journal) Settled(revision int) int {
	settled := revision
	for _, e := range slices.Backward(j.Entries) {
		if e.Revision() >= revision {
			continue
		}
		if !e.Good() || e.Revision() != settled-1 {
			break
		}
		settled = e.Revision()
	}
	return settled
}

// OwnedBefore are the objects that the revisions before another one may have
// left in the cluster: those of the last good one and of all that came after
// it and did not end well. Of the kinds that may be pruned only when asked for,
// those of all revisions: what an earlier one has kept can be asked for later.
// In the order of their application.
func (j *Journal) OwnedBefore(revision int, asked ...string) ([]kube.Ref, error) {
	good := 0
	if e := j.GoodBefore(revision); e != nil {
		good = e.Revision()
	}
	var owned []kube.Ref
	for _, e := range j.Entries {
		if e.Revision() < good && len(asked) == 0 || e.Revision() >= revision {
			continue
		}
		made, err := e.Made()
		if err != nil {
			return nil, err
		}
		owned = append(owned, slices.DeleteFunc(made, func(ref kube.Ref) bool {
			return e.Revision() < good && !slices.Contains(asked, ref.Kind)
		})...)
	}
	return owned, nil
}

// AdoptedBefore are the objects that the revisions which did not succeed since
// the last good one have adopted. They carry the application's marks by now,
// so that only the journal knows that they were there before it.
func (j *Journal) AdoptedBefore(revision int) []kube.Ref {
	var adopted []kube.Ref
	for _, e := range slices.Backward(j.Entries) {
		switch {
		case e.Revision() >= revision:
		case e.Good():
			return adopted
		default:
			adopted = append(adopted, e.Adopted...)
		}
	}
	return adopted
}

// Add writes a new revision before anything else of it is written.
func (j *Journal) Add(ctx context.Context, r Record, objects []manifest.Object) (*Entry, error) {
	packed, err := pack(objects)
	if err != nil {
		return nil, err
	}
	// A record that outgrows its Secret half way could be neither ended nor
	// resumed, so what it will need is kept free from the start.
	room := maxJournalSize - recordRoom - stepsRoom*len(objects)
	if len(packed) > room {
		return nil, refusal.New("the %d rendered manifests take %d KiB compressed, and the journal keeps each revision in a Secret, which has %d KiB for so many. "+
			"Take large ConfigMaps out, or deploy the application in parts", len(objects), len(packed)>>10, max(room, 0)>>10)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode revision %d: %w", r.Deployment.Revision, err)
	}
	summary, err := summarize(r)
	if err != nil {
		return nil, err
	}
	// A journal that was deleted by hand may have left decisions on revisions
	// of the same numbers.
	if err := j.trimDecisions(ctx); err != nil {
		return nil, err
	}
	secret, err := j.cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: j.namespace, Name: nameOf(j.app, r.Deployment.Revision),
			Labels:      map[string]string{plan.AppLabel: j.app, plan.SequenceLabel: strconv.Itoa(r.Deployment.Revision), "app.kubernetes.io/managed-by": kube.FieldManager},
			Annotations: map[string]string{summaryAnnotation: summary},
		},
		Type: Type,
		Data: map[string][]byte{recordKey: text, manifestsKey: packed},
	})
	if err != nil {
		return nil, fmt.Errorf("write revision %d to the journal: %w", r.Deployment.Revision, err)
	}
	e := &Entry{Record: r, secret: secret}
	j.Entries = append(j.Entries, e)
	return e, nil
}

func pack(objects []manifest.Object) ([]byte, error) {
	text, err := manifest.Encode(objects)
	if err != nil {
		return nil, fmt.Errorf("encode the manifests for the journal: %w", err)
	}
	if len(text) > maxUnpacked {
		return nil, refusal.New("the rendered manifests take %d MiB, and the journal keeps at most %d of a revision. Take large ConfigMaps out, or deploy the application in parts",
			len(text)>>20, maxUnpacked>>20)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress the manifests for the journal: %w", err)
	}
	return packed.Bytes(), nil
}

// Save writes the record of an entry, provided that nobody else has written it
// since: whoever has lost the lease finds out here at the latest. It is not cut
// short by the end of ctx, since a write whose fate is unknown would look like
// somebody else's to the next one.
func (j *Journal) Save(ctx context.Context, e *Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	text, err := json.Marshal(e.Record)
	if err != nil {
		return fmt.Errorf("encode revision %d: %w", e.Revision(), err)
	}
	summary, err := summarize(e.Record)
	if err != nil {
		return err
	}
	annotations := map[string]string{summaryAnnotation: summary}
	if e.secret.Annotations[summaryAnnotation] == summary {
		annotations = nil
	}
	secret, err := j.cluster.PatchSecret(ctx, e.secret, map[string][]byte{recordKey: text}, annotations)
	if kube.IsStale(err) {
		// The answer to a write that went through may have been lost.
		current, listErr := j.cluster.Secrets(ctx, j.namespace, plan.AppLabel+"="+j.app+","+plan.SequenceLabel+"="+strconv.Itoa(e.Revision()))
		if listErr == nil && len(current) == 1 && bytes.Equal(current[0].Data[recordKey], text) {
			e.secret = &current[0]
			return nil
		}
		return fmt.Errorf("write revision %d to the journal: another process has taken this deployment over: %w", e.Revision(), err)
	}
	if err != nil {
		return fmt.Errorf("write revision %d to the journal: %w", e.Revision(), err)
	}
	e.secret = secret
	return nil
}

// Trim deletes the oldest revisions beyond those that are kept, but never the
// last good one before the newest: it is what a rollback needs. A failed one
// that may have left an object in the cluster of which no other one knows stays
// as well, or nobody would prune that object. The decisions on a revision go
// with it.
func (j *Journal) Trim(ctx context.Context) error {
	if len(j.Entries) <= Kept {
		return nil
	}
	back, kept := j.GoodBefore(j.Latest()), slices.Clone(j.Entries[len(j.Entries)-Kept:])
	for _, e := range slices.Backward(j.Entries[:len(j.Entries)-Kept]) {
		needed := e == back || e.Phase != Ended
		if left := !e.Good() && !e.Deployment.Reverted && (back == nil || e.Revision() > back.Revision()); left && !needed {
			var err error
			if needed, err = e.alone(kept); err != nil {
				return err
			}
		}
		if needed {
			kept = slices.Insert(kept, 0, e)
			continue
		}
		ref := kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: j.namespace, Name: e.secret.Name}
		if err := j.cluster.Delete(ctx, ref, e.secret.UID); err != nil {
			return fmt.Errorf("trim the journal: %w", err)
		}
	}
	j.Entries = kept
	return j.trimDecisions(ctx)
}

// alone tells whether a revision has an object that none of the others has.
func (e *Entry) alone(others []*Entry) (bool, error) {
	known := map[string]bool{}
	for _, other := range others {
		refs, err := other.Made()
		if err != nil {
			return false, err
		}
		for _, ref := range refs {
			known[ref.ID()] = true
		}
	}
	refs, err := e.Made()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(refs, func(ref kube.Ref) bool { return !known[ref.ID()] }), nil
}
