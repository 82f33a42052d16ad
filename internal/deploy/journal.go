package deploy

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

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// The form of the journal: one Secret per revision, as Helm keeps releases.
// Secrets, because manifests hold secrets.
const (
	journalType    = "towline.dev/revision.v1"
	recordKey      = "record"    // JSON of record
	manifestsKey   = "manifests" // gzip of manifest.Encode
	journalKept    = 10
	maxJournalSize = 1 << 20  // of a Secret
	recordRoom     = 48 << 10 // of it for a record without its steps: the message has a pod's log
	stepsRoom      = 512      // of it for the steps done with one object, those of a revert as well
	maxUnpacked    = 64 << 20
	saveTime       = time.Minute
)

// phase says how far a revision has come. The arrows:
//
//	deploying -> ended
//	deploying -> reverting -> ended
type phase string

const (
	deploying phase = "deploying"
	reverting phase = "reverting"
	ended     phase = "ended"
)

// record is what the journal keeps of a revision beside its manifests.
type record struct {
	Deployment pipeline.Deployment `json:"deployment"`
	Key        string              `json:"key"`
	Phase      phase               `json:"phase"`
	Takes      int                 `json:"takes"`           // how often a process has taken it up, from 1
	Cause      string              `json:"cause,omitempty"` // why it is being reverted
	RollbackTo int                 `json:"rollbackTo,omitempty"`
	Verify     pipeline.Verify     `json:"verify,omitzero"` // so that a rollback is measured as the deployment was
	Done       []doneStep          `json:"done,omitempty"`
	// Adopted are the objects that were there before and were nobody's. They
	// are the application's own only once the revision has succeeded: until
	// then no revert and no later revision may delete them.
	Adopted []kube.Ref `json:"adopted,omitempty"`
}

// doneStep is a step that has been carried out, by the identity of the object
// that it left.
type doneStep struct {
	Verb            Verb     `json:"verb"`
	Ref             kube.Ref `json:"ref"`
	UID             string   `json:"uid,omitempty"`
	ResourceVersion string   `json:"resourceVersion,omitempty"`
	Reverting       bool     `json:"reverting,omitempty"`
}

// entry is one revision in the journal.
type entry struct {
	record
	secret *corev1.Secret
}

func (e *entry) revision() int { return e.Deployment.Revision }

// good tells whether the revision is one to go back to.
func (e *entry) good() bool { return e.Phase == ended && e.Deployment.Outcome == pipeline.Succeeded }

// made are the objects that the revision may have brought into the cluster and
// that may go when it is given up.
func (e *entry) made() ([]kube.Ref, error) {
	objects, err := e.objects()
	if err != nil {
		return nil, err
	}
	var refs []kube.Ref
	for _, o := range objects {
		ref := kube.RefOf(o.Unstructured)
		if e.good() || !slices.Contains(e.Adopted, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// objects are the rendered manifests of the revision.
func (e *entry) objects() ([]manifest.Object, error) {
	reader, err := gzip.NewReader(bytes.NewReader(e.secret.Data[manifestsKey]))
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.revision(), err)
	}
	text, err := io.ReadAll(io.LimitReader(reader, maxUnpacked+1))
	if err == nil && len(text) > maxUnpacked { // a part of them would have the rest pruned
		err = fmt.Errorf("its manifests are larger than %d MiB", maxUnpacked>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.revision(), err)
	}
	objects, err := manifest.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read revision %d from the journal: %w", e.revision(), err)
	}
	return objects, nil
}

// journal is the list of an application's revisions in the cluster.
type journal struct {
	cluster   *kube.Cluster
	app       string
	namespace string
	entries   []*entry // oldest first
}

func journalName(app string, revision int) string {
	return fmt.Sprintf("towline-%s-v%d", app, revision)
}

func openJournal(ctx context.Context, c *kube.Cluster, app, namespace string) (*journal, error) {
	secrets, err := c.Secrets(ctx, namespace, appLabel+"="+app+","+sequenceLabel)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", app, err)
	}
	j := &journal{cluster: c, app: app, namespace: namespace}
	for i := range secrets {
		if secrets[i].Type != journalType {
			continue
		}
		e := &entry{secret: &secrets[i]}
		if err := json.Unmarshal(secrets[i].Data[recordKey], &e.record); err != nil {
			return nil, fmt.Errorf("read secret %s/%s of the journal: %w", namespace, secrets[i].Name, err)
		}
		j.entries = append(j.entries, e)
	}
	slices.SortFunc(j.entries, func(a, b *entry) int { return cmp.Compare(a.revision(), b.revision()) })
	return j, nil
}

// byKey is the revision that was begun under a key, nil when there is none.
func (j *journal) byKey(key string) *entry {
	for _, e := range slices.Backward(j.entries) {
		if e.Key == key {
			return e
		}
	}
	return nil
}

func (j *journal) byRevision(revision int) *entry {
	for _, e := range j.entries {
		if e.revision() == revision {
			return e
		}
	}
	return nil
}

// latest is the number of the last revision, 0 when there is none.
func (j *journal) latest() int {
	if len(j.entries) == 0 {
		return 0
	}
	return j.entries[len(j.entries)-1].revision()
}

// goodBefore is the last revision before another one that succeeded, nil when
// there is none. It is what the cluster ran before that other one.
func (j *journal) goodBefore(revision int) *entry {
	for _, e := range slices.Backward(j.entries) {
		if e.revision() < revision && e.good() {
			return e
		}
	}
	return nil
}

// ownedBefore are the objects that the revisions before another one may have
// left in the cluster: those of the last good one and of all that came after
// it and did not end well. In the order of their application.
func (j *journal) ownedBefore(revision int) ([]kube.Ref, error) {
	good := 0
	if e := j.goodBefore(revision); e != nil {
		good = e.revision()
	}
	var owned []kube.Ref
	for _, e := range j.entries {
		if e.revision() < good || e.revision() >= revision {
			continue
		}
		made, err := e.made()
		if err != nil {
			return nil, err
		}
		owned = append(owned, made...)
	}
	return owned, nil
}

// adoptedBefore are the objects that the revisions which did not succeed since
// the last good one have adopted. They carry the application's marks by now,
// so that only the journal knows that they were there before it.
func (j *journal) adoptedBefore(revision int) []kube.Ref {
	var adopted []kube.Ref
	for _, e := range slices.Backward(j.entries) {
		switch {
		case e.revision() >= revision:
		case e.good():
			return adopted
		default:
			adopted = append(adopted, e.Adopted...)
		}
	}
	return adopted
}

// add writes a new revision before anything else of it is written.
func (j *journal) add(ctx context.Context, r record, objects []manifest.Object) (*entry, error) {
	packed, err := pack(objects)
	if err != nil {
		return nil, err
	}
	// A record that outgrows its Secret half way could be neither ended nor
	// resumed, so what it will need is kept free from the start.
	room := maxJournalSize - recordRoom - stepsRoom*len(objects)
	if len(packed) > room {
		return nil, refuse("the %d rendered manifests take %d KiB compressed, and the journal keeps each revision in a Secret, which has %d KiB for so many. "+
			"Take large ConfigMaps out, or deploy the application in parts", len(objects), len(packed)>>10, max(room, 0)>>10)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode revision %d: %w", r.Deployment.Revision, err)
	}
	secret, err := j.cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: j.namespace, Name: journalName(j.app, r.Deployment.Revision),
			Labels: map[string]string{appLabel: j.app, sequenceLabel: strconv.Itoa(r.Deployment.Revision), "app.kubernetes.io/managed-by": kube.FieldManager},
		},
		Type: journalType,
		Data: map[string][]byte{recordKey: text, manifestsKey: packed},
	})
	if err != nil {
		return nil, fmt.Errorf("write revision %d to the journal: %w", r.Deployment.Revision, err)
	}
	e := &entry{record: r, secret: secret}
	j.entries = append(j.entries, e)
	return e, nil
}

func pack(objects []manifest.Object) ([]byte, error) {
	text, err := manifest.Encode(objects)
	if err != nil {
		return nil, fmt.Errorf("encode the manifests for the journal: %w", err)
	}
	if len(text) > maxUnpacked {
		return nil, refuse("the rendered manifests take %d MiB, and the journal keeps at most %d of a revision. Take large ConfigMaps out, or deploy the application in parts",
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

// save writes the record of an entry, provided that nobody else has written it
// since: whoever has lost the lease finds out here at the latest. It is not cut
// short by the end of ctx, since a write whose fate is unknown would look like
// somebody else's to the next one.
func (j *journal) save(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	text, err := json.Marshal(e.record)
	if err != nil {
		return fmt.Errorf("encode revision %d: %w", e.revision(), err)
	}
	data := map[string][]byte{recordKey: text}
	secret, err := j.cluster.PatchSecret(ctx, e.secret, data)
	if kube.IsStale(err) {
		// The answer to a write that went through may have been lost.
		current, listErr := j.cluster.Secrets(ctx, j.namespace, appLabel+"="+j.app+","+sequenceLabel+"="+strconv.Itoa(e.revision()))
		if listErr == nil && len(current) == 1 && bytes.Equal(current[0].Data[recordKey], text) {
			e.secret = &current[0]
			return nil
		}
		return fmt.Errorf("write revision %d to the journal: another process has taken this deployment over: %w", e.revision(), err)
	}
	if err != nil {
		return fmt.Errorf("write revision %d to the journal: %w", e.revision(), err)
	}
	e.secret = secret
	return nil
}

// trim deletes the oldest revisions beyond those that are kept, but never the
// last good one before the newest: it is what a rollback needs.
func (j *journal) trim(ctx context.Context) error {
	if len(j.entries) <= journalKept {
		return nil
	}
	back := j.goodBefore(j.latest())
	for _, e := range j.entries[:len(j.entries)-journalKept] {
		if e == back || e.Phase != ended {
			continue
		}
		ref := kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: j.namespace, Name: e.secret.Name}
		if err := j.cluster.Delete(ctx, ref, e.secret.UID); err != nil {
			return fmt.Errorf("trim the journal: %w", err)
		}
	}
	return nil
}
