package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/build/pod/tree"
	"github.com/towline/towline/internal/kube"
)

// plan is what the Pod of the present record is made of, but for the images
// that only a new one needs.
func (r *run) plan() (plan, error) {
	p := plan{build: r.build, wanted: r.wanted, record: r.record, owner: r.config.Owner, image: r.wanted.Image}
	if p.image == "" {
		p.image = r.config.Image
	}
	if p.image == "" {
		return p, errors.New("the build names no image, and this server has no default: add pod.image to the action, with a shell and the tools that it needs")
	}
	if r.wanted.Cache != "" {
		p.cacheName = "build-cache-" + hash(r.config.Owner, r.build.Pipeline)
	}
	var err error
	p.services, err = services(r.build.Services, r.config.ServiceImages, r.record.Passwords)
	return p, err
}

// provide finds the Pod of the record, or makes it.
func (r *run) provide(ctx context.Context, p *plan) error {
	pod, err := r.find(ctx)
	switch {
	case err == nil && pod.Annotations[markAnnotation] == r.record.Mark:
		return r.complete(ctx, p, pod)
	case err == nil:
		// Left by a server whose files are lost: nobody else has this name.
		if err := r.deletePod(ctx, pod); err != nil {
			return err
		}
	case !kube.IsNotFound(err):
		return err
	case r.record.UID != "":
		return goneFrom(nil, r.record.Pod)
	}
	return r.make(ctx, p)
}

// complete does what a server that was killed while it made the Pod has left
// undone.
func (r *run) complete(ctx context.Context, p *plan, pod *corev1.Pod) error {
	if r.record.UID == pod.UID {
		return nil
	}
	owned, err := r.pullable(ctx, pod.DeepCopy())
	if err == nil {
		err = owned(ctx, pod)
	}
	if err != nil {
		return err
	}
	return r.known(p, pod)
}

// find reads the Pod. An API server that is away for a while is waited for: the
// build may go on meanwhile.
func (r *run) find(ctx context.Context) (*corev1.Pod, error) {
	for until := time.Now().Add(r.config.Silence); ; {
		pod, err := r.cluster.Pod(ctx, r.record.Namespace, r.record.Pod)
		if err == nil || !kube.Transient(err) || r.record.UID == "" || time.Now().After(until) || ctx.Err() != nil {
			return pod, err
		}
	}
}

// known notes which Pod it is.
func (r *run) known(p *plan, pod *corev1.Pod) error {
	next := r.record
	next.UID = pod.UID
	p.record = next
	return r.files.save(&r.record, next)
}

// make makes the Pod, and what it needs.
func (r *run) make(ctx context.Context, p *plan) error {
	var err error
	if r.config.Program == nil {
		p.agent, err = r.config.AgentImage(ctx)
	} else {
		p.arch = r.config.Program.Architecture
		p.program, err = r.config.programSize()
	}
	if err != nil {
		return err
	}
	pod, err := p.spec()
	if err != nil {
		return err
	}
	if _, err := r.cluster.EnsureNamespace(ctx, r.record.Namespace); err != nil {
		return err
	}
	if p.cacheName != "" {
		if err := r.makeCache(ctx, p); err != nil {
			return err
		}
	}
	owned, err := r.pullable(ctx, pod)
	if err != nil {
		return err
	}
	made, err := r.cluster.CreatePod(ctx, pod)
	if err != nil {
		return err
	}
	if err := owned(ctx, made); err != nil {
		return err
	}
	return r.known(p, made)
}

// makeCache makes the volume for the caches of the pipeline, unless it is there.
func (r *run) makeCache(ctx context.Context, p *plan) error {
	claim, err := p.claim()
	if err != nil {
		return err
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(claim)
	if err != nil {
		return fmt.Errorf("make the volume for caches: %w", err)
	}
	wanted := &unstructured.Unstructured{Object: object}
	if _, err = r.cluster.Get(ctx, kube.RefOf(wanted)); err == nil {
		return nil
	}
	if kube.IsNotFound(err) {
		_, err = r.cluster.Create(ctx, wanted)
	}
	if err != nil && !kube.IsAlreadyExists(err) {
		return fmt.Errorf("make the volume for caches: %w", err)
	}
	return nil
}

// packTrees packs the source and the further inputs.
func (r *run) packTrees(p *tree.Packer) error {
	if err := p.Tree(runner.SourceTree, r.build.Source, nil); err != nil {
		return err
	}
	inputs := filepath.Join(r.build.Dir, build.InputsDir)
	if _, err := os.Stat(inputs); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return p.Tree(runner.InputsTree, inputs, nil)
}
