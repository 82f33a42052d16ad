// Package local builds a directory of this machine, without a server: the same
// Action on the same backends, with the directory as its source. It knows
// neither pipelines nor where a server keeps its data.
package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// Build is a build of a directory.
type Build struct {
	// Dir is the source. The build works on a copy.
	Dir    string
	Config pipeline.Build
	// Out is where the files of the artifacts go, "" for nowhere; see Directory.
	Out     string
	Secrets Secrets
	// Kubeconfigs are needed by builds that ask for a credential of a cluster.
	Kubeconfigs build.Kubeconfigs
	// Backend runs the build, and ends those of processes that are gone: it must
	// know all places where such may run.
	Backend build.Backend
	// Cache is a directory for what is kept from build to build, and for the
	// build itself while it runs.
	Cache string
	// Show is called with each line of the log as it comes.
	Show func(line string) error
}

// name is the pipeline of the build: builds of one directory share caches.
func (b Build) name() string {
	sum := sha256.Sum256([]byte(b.Dir))
	return "local-" + hex.EncodeToString(sum[:6])
}

// Run runs the build to its end, or stops it when ctx ends. What an earlier
// call of a killed process has left in the cache is stopped and removed first.
func (b Build) Run(ctx context.Context) (result pipeline.Result, err error) {
	if err := b.sweep(ctx); err != nil {
		return pipeline.Result{}, err
	}
	place, err := newPlace(b.Cache)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer func() { err = errors.Join(err, place.remove()) }()
	job, err := b.job(ctx, place)
	if err != nil {
		return pipeline.Result{}, err
	}
	shelf, err := b.newShelf(ctx, place)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer func() { err = errors.Join(err, shelf.close()) }()
	if result, err = b.follow(ctx, job, shelf); err != nil {
		return result, err
	}
	return result, b.handOut(ctx, shelf, place, result.Artifacts)
}

// follow runs the job and shows its log.
func (b Build) follow(ctx context.Context, job pipeline.Job, shelf shelf) (pipeline.Result, error) {
	log, err := report.OpenLog(job.LogFile)
	if err != nil {
		return pipeline.Result{}, err
	}
	job.Log = log
	var over atomic.Bool
	shown := make(chan error, 1)
	go func() {
		shown <- report.Follow(context.WithoutCancel(ctx), job.LogFile, 0, over.Load, func(l report.Line) error { return b.Show(l.Text) })
	}()
	action := build.Action{Backend: b.Backend, Artifacts: shelf, Secrets: b.Secrets, Kubeconfigs: b.Kubeconfigs}
	result, err := action.Run(ctx, job)
	err = errors.Join(err, log.Close())
	over.Store(true)
	return result, errors.Join(err, <-shown)
}

// job is the build as the action of a pipeline that there is not.
func (b Build) job(ctx context.Context, place place) (pipeline.Job, error) {
	config, err := json.Marshal(b.Config)
	if err != nil {
		return pipeline.Job{}, fmt.Errorf("write the build's configuration: %w", err)
	}
	name := cmp.Or(build.Variable(filepath.Base(b.Dir)), "build")
	job := pipeline.Job{
		Pipeline: b.name(), Execution: filepath.Base(place.dir), Number: 1, Stage: "Build", Attempt: 1,
		Action:   pipeline.Action{Name: name, Type: pipeline.ActionType{Category: pipeline.CategoryBuild, Owner: "Towline", Provider: "Buildspec", Version: "1"}},
		Revision: revision(ctx, b.Dir), Configuration: config, Inputs: []pipeline.Artifact{{Name: "source"}},
		Dir: filepath.Join(place.dir, jobDir), LogFile: filepath.Join(place.dir, "log"),
		Progress: func(string) {},
	}
	return job, os.Mkdir(job.Dir, 0o700)
}

// revision is what git knows of the directory; nothing where it knows nothing.
func revision(ctx context.Context, dir string) pipeline.Revision {
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	return pipeline.Revision{
		Repository: filepath.Base(dir), Commit: git("rev-parse", "--verify", "HEAD"), Branch: git("symbolic-ref", "--short", "HEAD"),
		Message: git("log", "-1", "--format=%s"), Author: git("log", "-1", "--format=%an"),
	}
}
