package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/towline/towline/internal/deploy/job"
	"github.com/towline/towline/internal/deploy/refusal"
	"github.com/towline/towline/internal/manifest"
	"github.com/towline/towline/internal/pipeline"
)

// previewHost is the variable that tells a Job which Service to test.
const previewHost = "PREVIEW_HOST"

// job runs a copy of the Job that the check names. It runs once: how often it
// tries is for its own backoffLimit to say.
func (c Config) job(ctx context.Context, check pipeline.Check, timeout time.Duration) (Result, error) {
	i := slices.IndexFunc(c.Jobs, func(o manifest.Object) bool { return o.GetName() == check.Job })
	if i < 0 {
		return Result{}, refusal.New("check %s: the manifests have no Job %s with the annotation %s: %s%s",
			nameOf(check), check.Job, manifest.HookAnnotation, manifest.HookCheck, c.known())
	}
	host := c.Service + "." + c.Namespace + ".svc"
	object := manifest.Object{Unstructured: c.Jobs[i].DeepCopy(), Source: c.Jobs[i].Source}
	if c.Service != "" {
		if err := setEnv(object.Unstructured, previewHost, host); err != nil {
			return Result{}, refusal.New("check %s: %v", nameOf(check), err)
		}
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(c.Namespace)
	}
	unique, _, err := manifest.UniqueJob(object, manifest.JobRun{App: c.App, Sequence: c.Sequence, Attempt: 1})
	if err != nil {
		return Result{}, refusal.New("check %s: %v", nameOf(check), err)
	}
	asked := "Job " + check.Job
	if c.Service != "" {
		asked += " with " + previewHost + "=" + host
	}
	c.Log.Line("check   %s: %s, expecting that it completes within %s", nameOf(check), asked, timeout)
	done, err := job.Run(ctx, job.Config{Method: c.Method, Cluster: c.Cluster, Log: c.Log, Key: c.Key, Now: c.Now}, unique.Unstructured, timeout)
	if refusal.Is(err) {
		return Result{}, refusal.New("check %s said no: asked %s, expected that it completes, but %v", nameOf(check), asked, err)
	}
	if err != nil {
		return Result{}, fmt.Errorf("check %s: %w", nameOf(check), err)
	}
	return Result{Asked: asked, Answered: "done in " + time.Duration(done.Seconds*float64(time.Second)).Round(time.Millisecond).String(), Times: 1}, nil
}

// known are the Jobs that there are, as the end of a message.
func (c Config) known() string {
	if len(c.Jobs) == 0 {
		return ""
	}
	names := make([]string, len(c.Jobs))
	for i, o := range c.Jobs {
		names[i] = o.GetName()
	}
	return ". There is " + strings.Join(names, ", ")
}

// setEnv gives every container of a Job a variable, in place of one of that
// name that the manifest has.
func setEnv(o *unstructured.Unstructured, name, value string) error {
	for _, list := range []string{"initContainers", "containers"} {
		path := []string{"spec", "template", "spec", list}
		containers, found, err := unstructured.NestedSlice(o.Object, path...)
		if err != nil {
			return fmt.Errorf("read the %s of Job %s: %w", list, o.GetName(), err)
		}
		if !found {
			continue
		}
		for _, entry := range containers {
			container, ok := entry.(map[string]any)
			if !ok {
				return fmt.Errorf("read the %s of Job %s: an entry is no mapping", list, o.GetName())
			}
			env, _ := container["env"].([]any)
			env = slices.DeleteFunc(slices.Clone(env), func(e any) bool {
				variable, _ := e.(map[string]any)
				return variable["name"] == name
			})
			container["env"] = append(env, map[string]any{"name": name, "value": value})
		}
		if err := unstructured.SetNestedSlice(o.Object, containers, path...); err != nil {
			return fmt.Errorf("set %s in Job %s: %w", name, o.GetName(), err)
		}
	}
	return nil
}
