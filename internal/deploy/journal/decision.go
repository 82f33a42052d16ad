package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/internal/deploy/plan"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
)

// A decision is a Secret of its own beside the revision's, for the deployer
// that is told guards the revision's by its resourceVersion. It is created once
// and never changed, so that the first one to decide wins.
const (
	DecisionType  = "towline.dev/decision.v1"
	decisionLabel = "towline.dev/decision" // the revision that it is about
	decisionKey   = "decision"             // JSON of Decision
	decisionPoll  = time.Second
)

// Choice is what is decided about a revision.
type Choice string

// The choices. One revision can be promoted and aborted later on.
const (
	Promote Choice = "promote" // let the requests move
	Abort   Choice = "abort"   // stop, and bring back what was there before
)

// Decision is somebody's word on a revision under way.
type Decision struct {
	Revision int       `json:"revision"`
	Choice   Choice    `json:"choice"`
	By       string    `json:"by"` // a person, as the machine knows them
	At       time.Time `json:"at"`
	Reason   string    `json:"reason,omitempty"`
}

// String is "aborted by anna@laptop at 2026-05-04T10:00:00Z: too slow".
func (d Decision) String() string {
	verb := map[Choice]string{Promote: "promoted", Abort: "aborted"}[d.Choice]
	text := fmt.Sprintf("%s by %s at %s", cmp.Or(verb, string(d.Choice)), d.By, d.At.UTC().Format(time.RFC3339))
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// DecidedError says that somebody else was first.
type DecidedError struct{ Decision }

func (e *DecidedError) Error() string {
	return fmt.Sprintf("revision %d was %s", e.Revision, e.Decision)
}

// Decide writes a decision down. When the same was decided before, or when what
// is to be promoted was aborted, the error is a *DecidedError.
func (j *Journal) Decide(ctx context.Context, d Decision) error {
	before, err := j.Decisions(ctx, d.Revision)
	if err != nil {
		return err
	}
	for _, other := range before {
		if other.Choice == d.Choice || other.Choice == Abort {
			return &DecidedError{other}
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	_, err = j.cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: j.namespace, Name: fmt.Sprintf("%s-%s", nameOf(j.app, d.Revision), d.Choice),
			Labels: map[string]string{plan.AppLabel: j.app, decisionLabel: strconv.Itoa(d.Revision), "app.kubernetes.io/managed-by": kube.FieldManager},
		},
		Type: DecisionType,
		Data: map[string][]byte{decisionKey: text},
	})
	if kube.IsAlreadyExists(err) { // Somebody came in between.
		if before, listErr := j.Decisions(ctx, d.Revision); listErr == nil && len(before) > 0 {
			return &DecidedError{before[0]}
		}
	}
	if err != nil {
		return fmt.Errorf("write the decision on revision %d: %w", d.Revision, err)
	}
	return nil
}

// Decisions are those on one revision, an abort first.
func (j *Journal) Decisions(ctx context.Context, revision int) ([]Decision, error) {
	secrets, err := j.decisionSecrets(ctx, plan.AppLabel+"="+j.app+","+decisionLabel+"="+strconv.Itoa(revision))
	if err != nil {
		return nil, err
	}
	var found []Decision
	for _, secret := range secrets {
		var d Decision
		if err := json.Unmarshal(secret.Data[decisionKey], &d); err != nil {
			return nil, fmt.Errorf("read secret %s/%s of the journal: %w", secret.Namespace, secret.Name, err)
		}
		found = append(found, d)
	}
	slices.SortFunc(found, func(a, b Decision) int { return cmp.Compare(a.Choice, b.Choice) })
	return found, nil
}

func (j *Journal) decisionSecrets(ctx context.Context, selector string) ([]corev1.Secret, error) {
	secrets, err := j.cluster.Secrets(ctx, j.namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("read the decisions on %s: %w", j.app, err)
	}
	return slices.DeleteFunc(secrets, func(s corev1.Secret) bool { return s.Type != DecisionType }), nil
}

// FollowDecision waits for a word on a revision that waits for one, and
// returns it: an abort, or else a promotion. It ends with ctx. A cluster that is
// away for a while is waited for.
func (j *Journal) FollowDecision(ctx context.Context, revision int) (Decision, error) {
	ticker := time.NewTicker(decisionPoll)
	defer ticker.Stop()
	for {
		found, err := j.Decisions(ctx, revision)
		switch {
		case ctx.Err() != nil:
			return Decision{}, context.Cause(ctx)
		case err != nil && !kube.Transient(err):
			return Decision{}, err
		case len(found) > 0:
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return Decision{}, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Watch returns a context that ends as soon as the revision is aborted, with a
// refusal as its cause that says by whom. One that was aborted before gives a
// context that has ended. What cannot be asked for a moment is asked again.
func (j *Journal) Watch(ctx context.Context, revision int) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	aborted := func() bool {
		found, err := j.Decisions(watched, revision)
		if err != nil || len(found) == 0 || found[0].Choice != Abort {
			return false
		}
		cancel(refusal.New("revision %d was %s", revision, found[0]))
		return true
	}
	done := make(chan struct{})
	stop = func() {
		cancel(errWatchEnded)
		<-done
	}
	if aborted() {
		close(done)
		return watched, stop
	}
	go func() {
		defer close(done)
		ticker := time.NewTicker(decisionPoll)
		defer ticker.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-ticker.C:
				if aborted() {
					return
				}
			}
		}
	}()
	return watched, stop
}

var errWatchEnded = errors.New("the decisions are followed no more")

// trimDecisions deletes the decisions on revisions that the journal has no
// more.
func (j *Journal) trimDecisions(ctx context.Context) error {
	secrets, err := j.decisionSecrets(ctx, plan.AppLabel+"="+j.app+","+decisionLabel)
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		revision, err := strconv.Atoi(secret.Labels[decisionLabel])
		if err == nil && j.ByRevision(revision) != nil {
			continue
		}
		ref := kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: j.namespace, Name: secret.Name}
		if err := j.cluster.Delete(ctx, ref, secret.UID); err != nil {
			return fmt.Errorf("trim the journal: %w", err)
		}
	}
	return nil
}
