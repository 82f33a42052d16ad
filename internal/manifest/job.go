package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The labels of a Job that UniqueJob made, beside those of the manifest.
const (
	// JobLabel is the Job's name in the manifests, cut to what a label holds.
	JobLabel = "towline.dev/job"
	// AppLabel is the application that ran it.
	AppLabel = "towline.dev/app"
	// SequenceLabel is the sequence of the deployment that ran it.
	SequenceLabel = "towline.dev/revision"
	// AttemptLabel counts from 1 how often that deployment started it.
	AttemptLabel = "towline.dev/attempt"
)

// The defaults of UniqueJob. A migration that fails half way is for a person
// to look at, so it is not tried again by itself; one that hangs must not hold
// the deployment for ever.
const (
	defaultBackoffLimit   = 0
	defaultActiveDeadline = 600
)

// maxName is the longest name of a Job whose pods carry it as a label.
const maxName = 63

// JobRun says for which deployment a Job runs.
type JobRun struct {
	App      string
	Sequence int64
	Attempt  int // from 1
}

// UniqueJob is a copy of the Job o for one run: under a name that no other run
// has, with the labels by which it is found again, and with an end. The same
// run of the same Job has the same name, so a deployer that starts again finds
// its Job instead of starting a second one.
//
// backoffLimit becomes 0 and activeDeadlineSeconds ten minutes where they are
// not written. ttlSecondsAfterFinished is taken out, for the Job must not be
// gone before its outcome and its logs are read: who runs it deletes it.
func UniqueJob(o Object, run JobRun) (Object, []Change, error) {
	if !isKind(o.Unstructured, "batch", "Job") {
		return Object{}, nil, fmt.Errorf("run %s: it is no Job", Ref(o.Unstructured))
	}
	if o.GetName() == "" {
		return Object{}, nil, &Error{Source: o.Source, Message: "a Job that is run as a hook must have metadata.name", Hint: "replace generateName: each run gets a name of its own"}
	}
	if suspended, _ := valueAt(o.Object, "spec", "suspend"); suspended == true {
		return Object{}, nil, &Error{Source: o.Source, Message: Ref(o.Unstructured) + " is suspended, and would never end", Hint: "remove spec.suspend"}
	}
	job := Object{Unstructured: o.DeepCopy(), Source: o.Source}
	job.SetName(uniqueName(o, run))
	setNested(job.Object, o.GetName(), "metadata", "annotations", JobLabel)
	labels := map[string]string{
		JobLabel:      labelValue(o.GetName()),
		AppLabel:      labelValue(run.App),
		SequenceLabel: strconv.FormatInt(run.Sequence, 10),
		AttemptLabel:  strconv.Itoa(run.Attempt),
	}
	for key, value := range labels {
		setNested(job.Object, value, "metadata", "labels", key)
		setNested(job.Object, value, "spec", "template", "metadata", "labels", key)
	}
	changes := boundJob(job)
	if old, ok := valueAt(job.Object, "spec", "ttlSecondsAfterFinished"); ok {
		spec, _ := mapAt(job.Object, "spec")
		delete(spec, "ttlSecondsAfterFinished")
		changes = append(changes, change(job, Change{Kind: Completed, Field: "spec.ttlSecondsAfterFinished",
			Reason: "it is kept until its logs are; Towline deletes it"}, old, "absent"))
	}
	return job, changes, nil
}

// boundJob gives a Job an end.
func boundJob(job Object) []Change {
	var changes []Change
	if _, ok := valueAt(job.Object, "spec", "backoffLimit"); !ok {
		changes = append(changes, complete(job, "a hook that fails is not tried again by itself", int64(defaultBackoffLimit), "spec", "backoffLimit")...)
	}
	if _, ok := valueAt(job.Object, "spec", "activeDeadlineSeconds"); !ok {
		changes = append(changes, complete(job, "a hook that hangs must not hold the deployment for ever", int64(defaultActiveDeadline), "spec", "activeDeadlineSeconds")...)
	}
	return changes
}

// uniqueName is web-migrate-42-1-<hash>: the sequence for people, the hash for
// what was cut off and for what the Job is.
func uniqueName(o Object, run JobRun) string {
	content := digest([]any{run.App, o.GetNamespace(), o.GetName(), run.Sequence, run.Attempt})
	suffix := fmt.Sprintf("-%d-%d-%s", run.Sequence, run.Attempt, content[:8])
	return cut(o.GetName(), maxName-len(suffix)) + suffix
}

// NameJobs gives ordinary Jobs, those without HookAnnotation, a name that ends
// with a hash of their content: the template of a Job cannot be changed, so a
// changed Job has to be a new one, while an unchanged one is not run again.
// Run it last, when what the Jobs hold is final. It is idempotent.
func NameJobs(objs []Object) []Change {
	var changes []Change
	for _, o := range OfKind(objs, "batch", "Job") {
		if _, hook := o.GetAnnotations()[HookAnnotation]; hook || o.GetName() == "" {
			continue
		}
		name := cmp.Or(o.GetAnnotations()[JobLabel], o.GetName())
		named := hashedName(name, digest([]any{name, o.Object["spec"], o.GetLabels()}))
		if ttl, ok := intAt(o.Object, "spec", "ttlSecondsAfterFinished"); ok {
			changes = append(changes, warn(o, "spec.ttlSecondsAfterFinished", ttl, "once it is deleted after that time, the next deployment runs it again, changed or not: leave it out, or make the Job a hook (%s)", HookAnnotation))
		}
		if o.GetName() == named {
			continue
		}
		changes = append(changes, change(o, Change{Kind: Completed, Field: "metadata.name",
			Reason: "a Job cannot be changed: with other contents it is a new one, and with these it runs once"}, o.GetName(), named))
		setNested(o.Object, name, "metadata", "annotations", JobLabel)
		o.SetName(named)
	}
	return changes
}

// hashedName ends with 10 hex digits of a hash, within what a Job's name may
// have.
func hashedName(name, hash string) string {
	suffix := "-" + hash[:10]
	return cut(name, maxName-len(suffix)) + suffix
}

// cut is the start of a name that may be followed by a dash.
func cut(name string, length int) string {
	if len(name) > length {
		name = name[:length]
	}
	return strings.TrimRight(name, "-.")
}

// labelValue is the start of text that a label may hold.
func labelValue(text string) string {
	return strings.TrimRight(text[:min(len(text), maxName)], "-._")
}

// digest is the SHA-256 of a value of JSON, in hex.
func digest(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
