package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/kube"
)

// RunLabel is the label by which a run finds its Job again: a hash of
// Config.Key and of the Job's name, for a key is no label's value.
const RunLabel = "towline.dev/run"

// maxName is the longest name of a Job whose pods carry it as a label.
const maxName = 63

// provide finds the Job of this run, or makes it.
func (c Config) provide(ctx context.Context, object *unstructured.Unstructured) (job *unstructured.Unstructured, found bool, err error) {
	run := runOf(c.Key, object)
	ref := kube.RefOf(object)
	job, err = c.find(ctx, ref, run)
	switch {
	case err != nil:
		return nil, false, err
	case job != nil:
		c.Log.Line("job     %s is there already: this deployment made it before it was interrupted", kube.RefOf(job))
		return job, true, nil
	case c.Known != "":
		return nil, false, refusal.New("%s was made by this deployment before it was interrupted (UID %s), and somebody has deleted it since: "+
			"nobody can say whether its work is done, so it is not run a second time. Look at what it changes, and deploy again", ref, c.Known)
	}
	job, err = c.create(ctx, marked(object, run))
	if kube.IsAlreadyExists(err) {
		// Another deployment that got the same sequence has left it: one that
		// ended before its journal had it.
		c.Log.Line("job     %s of another deployment is still there: this one gets a name of its own", ref)
		object = marked(object, run)
		object.SetName(apart(object.GetName(), run))
		job, err = c.create(ctx, object)
	}
	return job, false, refusal.Or(err, "%v", err)
}

func (c Config) create(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ref := kube.RefOf(object)
	c.Log.Line("job     run %s   %s", ref, c.Method.CreateCommand(ref))
	return c.Method.Create(ctx, object)
}

// find is the Job of a run, nil when there is none.
func (c Config) find(ctx context.Context, ref kube.Ref, run string) (*unstructured.Unstructured, error) {
	jobs, err := c.Cluster.List(ctx, batchv1.SchemeGroupVersion.WithKind("Job"), ref.Namespace, RunLabel+"="+run)
	if err != nil {
		return nil, refusal.Or(err, "look for %s: %v", ref, err)
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	return &jobs[0], nil
}

func runOf(key string, object *unstructured.Unstructured) string {
	sum := sha256.Sum256([]byte(key + "\x00" + object.GetName()))
	return hex.EncodeToString(sum[:8])
}

// marked is a copy of a Job that its run will find again.
func marked(object *unstructured.Unstructured, run string) *unstructured.Unstructured {
	object = object.DeepCopy()
	labels := maps.Clone(object.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[RunLabel] = run
	object.SetLabels(labels)
	return object
}

// apart is a name that ends with the run.
func apart(name, run string) string {
	suffix := "-" + run[:6]
	return name[:min(len(name), maxName-len(suffix))] + suffix
}
