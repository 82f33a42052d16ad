// Package plan makes the whole of a deployment before anything is written: a
// pure function from a situation (live objects, desired ones, strategy) to
// ordered steps, one file per strategy. It sends no request and keeps no state.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// Verb is what a step does.
type Verb string

// The verbs. Each has its executor in steps.go.
const (
	VerbProbe    Verb = "probe"    // begin to send requests, when the Service has ready endpoints
	VerbRun      Verb = "run"      // a hook Job, to its end
	VerbApply    Verb = "apply"    // server-side apply
	VerbWait     Verb = "wait"     // until the object, and the data plane, are as planned
	VerbServe    Verb = "serve"    // wait until a Service's endpoints are as planned, and every node knows
	VerbRehearse Verb = "rehearse" // see on a spare pod how the new set ends
	VerbCheck    Verb = "check"    // ask a question that must be answered well
	VerbApprove  Verb = "approve"  // wait for somebody's decision
	VerbMatch    Verb = "match"    // make the new set as large as the old one is now
	VerbSwitch   Verb = "switch"   // one guarded write that moves the requests of a Service
	VerbAnalyse  Verb = "analyse"  // count requests for a while
	VerbKeep     Verb = "keep"     // leave the old set whole for a while, so that going back takes a second
	VerbDrain    Verb = "drain"    // scale an old set down in batches
	VerbPrune    Verb = "prune"    // delete what the previous revision had and this one has not
	VerbVerdict  Verb = "verdict"  // stop sending requests and judge
)

// Change is what an apply will do to its object.
type Change string

// The changes.
const (
	Create    Change = "create"
	Update    Change = "update"
	Unchanged Change = "unchanged"
)

// Step is one line of the runbook.
type Step struct {
	Verb   Verb
	Ref    kube.Ref
	Object *unstructured.Unstructured // for apply: what is sent
	Live   *unstructured.Unstructured // for apply: what is there, nil when nothing is
	Change Change                     // for apply
	Force  bool                       // for apply: take fields over from other managers
	UID    string                     // for prune: of the object that may be deleted
	Text   string                     // what it is for, when verb and object do not say it

	Selector map[string]string // for switch and serve: what the Service selects then
	From     map[string]string // for switch: what it may select before; nil allows anything
	Shrink   bool              // for switch: fewer pods than now are allowed, as when a revision is given up
	Only     bool              // for serve: no other pod may be left among the endpoints
	Sets     []kube.Ref        // for match, rehearse: the Deployments of the new set
	Check    *pipeline.Check
	Place    string        // for check: tells it from the others of the deployment
	Set      string        // for check: the mark of the new set
	Time     time.Duration // how long to wait, or to wait at most
	Mark     string        // for apply: what the timeline of the verdict says of it; empty: nothing

	// Request is the API request that carries the step out, for the log.
	Request string
	// Wave groups steps that may be carried out at the same time: neighbours
	// with the same wave and verb.
	Wave int
}

// Short is the step without its details.
func (s Step) Short() string {
	if s.Ref.Kind == "" {
		return string(s.Verb)
	}
	return string(s.Verb) + " " + s.Ref.String()
}

// String is the step as one line of the runbook.
func (s Step) String() string {
	line := s.Short()
	if s.Change != "" {
		line += " (" + string(s.Change) + ")"
	}
	if s.Text != "" {
		line += ": " + s.Text
	}
	if s.Request != "" {
		line += "   " + s.Request
	}
	return line
}

// Situation is all that a plan depends on: the live objects, the desired ones
// and what is known of them.
type Situation struct {
	App       string
	Namespace string // of the application
	Revision  int    // the sequence that the objects will carry
	Strategy  string
	Desired   []manifest.Object                     // in the order of manifest.Sort
	Live      map[string]*unstructured.Unstructured // by kube.Ref.ID, of Desired and of Owned
	Merged    map[string]*unstructured.Unstructured // what the dry-run said the objects would be; may be nil
	Owned     []kube.Ref                            // what earlier revisions have left in the cluster
	Scaled    map[string]string                     // workloads by kube.Ref.ID whose replicas an autoscaler, named, sets
	Resources map[string]kube.Resource              // by kube.Ref.ID of Desired and Owned
	Commands  Commands                              // how the method says its writes
	Service   string                                // to ask checks of, empty for the first one that selects pods
	Probe     string                                // Service or URL to probe; empty: no verdict
	Rate      int                                   // requests per second
	Force     bool                                  // fields of other managers are taken over

	Sets    []Set             // live Deployments that give way to the desired ones
	Hashes  map[string]string // pod-template-hash of live desired Deployments by kube.Ref.ID, while all their pods have the one
	Floor   map[string]int    // how many pods a set needs at least, by WorkloadOf: what runs and what autoscalers want
	Knobs   Knobs
	Before  []manifest.Object // hook Jobs to run before any workload is touched
	After   []manifest.Object // and once the new pods serve
	Checks  []manifest.Object // Jobs that checks may run
	Resumed Resumed           // how far the revision has got already
	Back    bool              // an earlier revision is brought back: nothing is asked, rehearsed or waited for but the data plane
}

// Commands say what carries a write out, so that a person can repeat it by
// hand. They send nothing.
type Commands interface {
	ApplyCommand(ref kube.Ref, options kube.ApplyOptions, guarded bool) string
	CreateCommand(ref kube.Ref) string
	ScaleCommand(ref kube.Ref, replicas int) string
	DeleteCommand(ref kube.Ref, uid types.UID) string
}

// Knobs are the user's wishes for the cut-over.
type Knobs struct {
	Union          bool          // serve from both sets for a while
	Approval       bool          // wait for a decision before the requests move
	ApprovalWait   time.Duration // at most
	Propagation    time.Duration // until every node and load balancer knows of a change
	Analysis       time.Duration // of requests to the new set before the old one goes
	ScaleDownDelay time.Duration // before the old set goes
	Drain          string        // what to do about a bad rehearsal; empty or "off": none is made
	Checks         pipeline.Checks
	Prune          []string // protected kinds that may be pruned all the same
}

// strategies are the ways in which old pods give way to new ones: functions
// from a situation to ordered steps.
var strategies = map[string]func(Situation) ([]Step, error){
	Rolling:   planRolling,
	Immutable: planImmutable,
	BlueGreen: planBlueGreen,
}

// Plan is the whole deployment as ordered steps. It is pure: no request is
// sent, and equal situations give equal plans. A refusal says why the
// situation allows none.
func Plan(s Situation) ([]Step, error) {
	if err := Known(s.Strategy); err != nil {
		return nil, err
	}
	for _, o := range s.Desired {
		if err := mayTake(s, o); err != nil {
			return nil, err
		}
	}
	return strategies[s.Strategy](s)
}

// Known refuses a strategy that there is not.
func Known(strategy string) error {
	if strategies[strategy] == nil {
		return refusal.New("unknown strategy %q: use %s", strategy, strings.Join(slices.Sorted(maps.Keys(strategies)), ", "))
	}
	return nil
}

// mayTake refuses an object that belongs to another application, or that
// carries a later revision than the plan's.
func mayTake(s Situation, o manifest.Object) error {
	live := s.Live[kube.RefOf(o.Unstructured).ID()]
	if live == nil {
		return nil
	}
	if set := live.GetLabels()[PartOfLabel]; set != "" && set != ApplySetID(s.App, s.Namespace) {
		return refusal.New("%s%s belongs to another application, %s. Two applications must not own the same object: rename it, or deploy both as one",
			At(o), manifest.Ref(o.Unstructured), cmp.Or(live.GetLabels()[AppLabel], set))
	}
	if sequence := SequenceOf(live); sequence > s.Revision {
		return refusal.New("%s carries revision %d, later than the revision %d of this deployment: a newer deployment has been here",
			manifest.Ref(o.Unstructured), sequence, s.Revision)
	}
	return nil
}

// Adopted are the desired objects that are there already and belong to nobody,
// or were when an earlier revision Adopted them that did not succeed.
func Adopted(s Situation, before []kube.Ref) []kube.Ref {
	var found []kube.Ref
	for _, o := range s.Desired {
		ref := kube.RefOf(o.Unstructured)
		live := s.Live[ref.ID()]
		known := slices.ContainsFunc(before, func(r kube.Ref) bool { return r.ID() == ref.ID() })
		if live != nil && (live.GetLabels()[PartOfLabel] == "" || known) {
			found = append(found, ref)
		}
	}
	return found
}

// applies are the steps that apply some of the desired objects, in waves of one
// kind that are numbered after wave. With grow, and after sets, Deployments that
// are to have more pods than they have get them, whoever sets their replicas
// otherwise.
func applies(s Situation, objects []manifest.Object, wave int, grow bool) []Step {
	var steps []Step
	last := ""
	for _, o := range objects {
		ref := kube.RefOf(o.Unstructured)
		if kind := ref.GVK().GroupKind().String(); kind != last {
			wave, last = wave+1, kind
		}
		live := s.Live[ref.ID()]
		object, force := Stamp(o.Unstructured, s.App, s.Namespace, s.Revision), s.Force
		var text string
		grown := (grow || followsSets(s, o)) && (live == nil || ReplicasOf(live) < ReplicasOf(o.Unstructured))
		if grown {
			text, force = fmt.Sprintf("%d replicas", ReplicasOf(o.Unstructured)), true
		} else {
			object, text = YieldReplicas(object, live, s.Scaled[ref.ID()])
		}
		steps = append(steps, Step{
			Verb: VerbApply, Ref: ref, Object: object, Live: live, Force: force, Text: text, Wave: wave,
			Change:  changeOf(live, s.Merged[ref.ID()], grown),
			Request: s.Commands.ApplyCommand(ref, kube.ApplyOptions{Force: force}, Fenced(ref)),
		})
		// Objects of a new kind can only be sent when the kind is served.
		if ref.Kind == "CustomResourceDefinition" {
			steps = append(steps, waitStep(s, ref, "established", wave))
		}
	}
	return steps
}

func waitStep(s Situation, ref kube.Ref, text string, wave int) Step {
	return Step{Verb: VerbWait, Ref: ref, Text: text, Wave: wave,
		Request: "GET " + s.Resources[ref.ID()].Path(ref.Namespace, ref.Name) + " (watch)"}
}

// changeOf compares what is with what the dry-run said would be. An object
// that carries no field of ours yet is an update even when nothing in it
// changes, since the apply makes the fields ours; so is a set that grows, which
// the dry-run was not asked about.
func changeOf(live, merged *unstructured.Unstructured, grown bool) Change {
	switch {
	case live == nil:
		return Create
	case merged == nil || !ours(live) || grown:
		return Update
	case merged == live, equality.Semantic.DeepEqual(essence(live), essence(merged)):
		return Unchanged
	}
	return Update
}

// ours tells whether we have applied an object. It reads managedFields as they
// are: to decode all that everybody owns takes far longer.
func ours(live *unstructured.Unstructured) bool {
	metadata, _ := live.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	return slices.ContainsFunc(entries, func(e any) bool {
		entry, _ := e.(map[string]any)
		return entry["manager"] == kube.FieldManager && entry["operation"] == string(metav1.ManagedFieldsOperationApply) && entry["subresource"] == nil
	})
}

// essence is an object without what changes by itself.
func essence(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	unstructured.RemoveNestedField(o.Object, "status")
	unstructured.RemoveNestedField(o.Object, "metadata", "labels", SequenceLabel)
	// The Deployment controller's own mark, which a dry-run shows as it was.
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "deployment.kubernetes.io/revision")
	return o.Object
}

// At is where an object was written, as the beginning of a message.
func At(o manifest.Object) string {
	if source := o.Source.String(); source != "" {
		return source + ": "
	}
	return ""
}
