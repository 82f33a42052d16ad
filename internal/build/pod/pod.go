// Package pod runs builds as Pods of a Kubernetes cluster. Its Backend makes a
// Pod for each build, named by the build's key: a first container copies this
// very program into it, databases run beside it as native sidecars, and the main
// container, of the user's image, runs package runner. The server speaks with
// that through the API server: it hands over the source, follows the log from
// the byte that it has come to, and fetches the result and the changed files.
// A server that was killed finds the Pod again by its name.
//
// It knows neither pipelines nor artifacts. Its credentials need to get, list,
// watch, create and delete pods, to get and create pods/portforward (and
// pods/attach, to send a Program), to list events, to get pods/log, and to get and create persistentvolumeclaims where
// builds keep caches; docs/builds/pod.md has the Role.
package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// mostRuns is how often a build is run when its Pod is lost: a second time for a
// node that has gone, no third for a build that kills it.
const mostRuns = 2

// Backend is the build.Backend that runs builds as Pods.
type Backend struct{ config Config }

var _ build.Backend = (*Backend)(nil)

// New checks the configuration and fills in its defaults.
func New(config Config) (*Backend, error) {
	if config.Connect == nil || config.AgentImage == nil && config.Program == nil || config.Owner == "" {
		return nil, errors.New("configure the pod backend: Connect, Owner and AgentImage or Program are needed")
	}
	config.Namespace = cmp.Or(config.Namespace, defaultNamespace)
	config.ServiceImages = cmp.Or(config.ServiceImages, defaultServiceImages)
	config.Unschedulable = cmp.Or(config.Unschedulable, defaultUnschedulable)
	config.Starting = cmp.Or(config.Starting, defaultStarting)
	config.Silence = cmp.Or(config.Silence, defaultSilence)
	config.Ending = cmp.Or(config.Ending, defaultEnding)
	config.Young = cmp.Or(config.Young, defaultYoung)
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	return &Backend{config: config}, nil
}

// lost is the error of a Pod that has gone with its build, in words.
type lost string

func (l lost) Error() string { return string(l) }

// Run runs the build, or finds it running or ended when it was begun before.
func (p *Backend) Run(ctx context.Context, b build.Build) (build.Ended, error) {
	files := buildFiles{dir: b.Dir}
	wanted := pipeline.Pod{}
	if b.Pod != nil {
		wanted = *b.Pod
	}
	cluster, err := p.config.Connect(ctx, wanted.Cluster)
	if err != nil {
		return build.Ended{}, fmt.Errorf("run build %s as a Pod: %w", b.Key, err)
	}
	r := &run{config: p.config, cluster: cluster, build: b, wanted: wanted, files: files}
	if ended, done, err := r.finished(ctx); done || err != nil {
		return ended, err
	}
	for {
		ended, err := r.once(ctx)
		gone, isLost := errors.AsType[lost](err)
		if !isLost {
			return ended, err
		}
		if err := r.again(ctx, gone); err != nil {
			return build.Ended{}, err
		}
	}
}

// run is one call of Run.
type run struct {
	config  Config
	cluster *kube.Cluster
	build   build.Build
	wanted  pipeline.Pod
	files   buildFiles
	// record is what is known of the Pod, as it is in files.
	record record
	// node is the one that the present Pod was seen on, nil before.
	node atomic.Pointer[string]
}

// finished takes the result of a build that has ended before, and removes what
// a server that was killed has left of it.
func (r *run) finished(ctx context.Context) (build.Ended, bool, error) {
	if err := r.files.load(&r.record); err != nil {
		return build.Ended{}, false, err
	}
	result, ok, err := r.files.result()
	if err != nil || !ok {
		return build.Ended{}, false, err
	}
	if err := r.remove(ctx); err != nil {
		return build.Ended{}, true, err
	}
	return result.Ended, true, result.err()
}

// once runs the build in one Pod, the present one or the next. The error is
// lost when that Pod has gone with the build.
func (r *run) once(ctx context.Context) (build.Ended, error) {
	ended, err := r.attend(ctx)
	if _, isLost := errors.AsType[lost](err); isLost {
		return ended, err
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		if errors.Is(cause, pipeline.ErrShutdown) {
			return build.Ended{}, cause
		}
		return build.Ended{}, errors.Join(cause, r.stop(ctx))
	}
	if err != nil {
		// What cannot be run, or cannot be told of, must not run on.
		return build.Ended{}, errors.Join(fmt.Errorf("run build %s as a Pod: %w", r.build.Key, err), r.remove(ctx))
	}
	return ended, nil
}

// again prepares the next run of a build whose Pod is lost.
func (r *run) again(ctx context.Context, why lost) error {
	if err := r.remove(ctx); err != nil {
		return err
	}
	if r.record.Run >= mostRuns {
		return fmt.Errorf("run build %s as a Pod: it was lost %d times, the last time since %w", r.build.Key, r.record.Run, why)
	}
	r.config.Log.WarnContext(ctx, "run a build again whose Pod was lost", "build", r.build.Key, "pod", r.record.Pod, "reason", string(why))
	fmt.Fprintf(r.build.Log, "pod backend: %s; the build begins again\n", why)
	if err := r.build.Restore(ctx); err != nil {
		return fmt.Errorf("restore the source: %w", err)
	}
	next := r.next()
	if node := r.node.Swap(nil); node != nil {
		next.Avoid = *node
	}
	return r.files.save(&r.record, next)
}

// remove removes the present Pod and returns when nothing of it is left. It
// does so also after the end of ctx.
func (r *run) remove(ctx context.Context) error {
	if r.record.Pod == "" {
		return nil
	}
	ctx, cancel := r.removing(ctx)
	defer cancel()
	return r.delete(ctx)
}

// removing bounds the removal of a Pod, also after the end of ctx: it is asked to
// go, and forgotten when it does not.
func (r *run) removing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*r.config.Ending+removeWithin)
}

// removeWithin is how long the requests may take by which a Pod is removed.
const removeWithin = 10 * time.Second
