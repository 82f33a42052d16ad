package build

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// Artifacts is where the source comes from and the output goes to. Both are
// called once or twice per build, by many builds at once.
type Artifacts interface {
	// Unpack writes the files of an artifact into dir, which it makes.
	Unpack(ctx context.Context, digest, dir string) error
	// Pack stores files of dir, named by slash-separated paths below it, and
	// returns the digest and the size in bytes of what is stored.
	Pack(ctx context.Context, dir string, files []string) (digest string, size int64, err error)
}

// Action carries out actions of the type Build/Buildspec, configured by a
// pipeline.Build. Given a job a second time it takes up the build where it is.
type Action struct {
	Backend   Backend
	Artifacts Artifacts
	// Reports may be nil where nobody asks later what the reports said.
	Reports Reports
	// Kubeconfigs may be nil where no build gets a credential for a cluster.
	Kubeconfigs Kubeconfigs
	// Secrets may be nil where no values are kept for builds, and Git where no
	// repository has a credential.
	Secrets Secrets
	Git     GitCredentials
	// Databases may be nil where no service names a running server.
	Databases Databases
	// Account is what builds are told of where they run, in AWS's terms.
	Account Account
	// Project is the project whose builds these are, "" for a pipeline's own.
	Project string
	// Parallel is how many builds of a batch run at once: 0 for as many as this
	// machine has processors.
	Parallel int
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// The files of an action in Job.Dir, beside those of its backend.
const (
	sourceDir = "src"
	// InputsDir holds the inputs but the first, each in a directory of its name.
	InputsDir = "in"
	planFile  = "plan.json"
)

// Run runs the build of a job. A command that fails, a missing or wrong
// buildspec and an artifact without files are results with the outcome Failed.
func (a Action) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var config pipeline.Build
	if err := json.Unmarshal(job.Configuration, &config); err != nil {
		return pipeline.Result{}, fmt.Errorf("read the build's configuration: %w", err)
	}
	var result pipeline.Result
	var err error
	if config.Batch != nil {
		result, err = a.batch(ctx, job, config)
	} else {
		result, err = a.one(ctx, job, config, part{})
	}
	if no, ok := errors.AsType[refusal](err); ok {
		return pipeline.Fail("%s", no), nil
	}
	return result, err
}

// one runs one build. An error that is a refusal is the user's to mend.
func (a Action) one(ctx context.Context, job pipeline.Job, config pipeline.Build, of part) (pipeline.Result, error) {
	p, err := a.plan(ctx, job, config, of)
	if err != nil {
		return pipeline.Result{}, err
	}
	p.Build.Dir, p.Build.Source = job.Dir, filepath.Join(job.Dir, sourceDir)
	p.Build.Log, p.Build.LogFile = job.Log, job.LogFile
	p.Build.Kubeconfig = a.kubeconfig(p.Kubeconfig, p.Build.Timeout)
	p.Build.Values = a.values(job, p)
	p.Build.Restore = func(ctx context.Context) error { return a.unpack(ctx, job) }
	ended, err := a.Backend.Run(ctx, p.Build)
	if !errors.Is(err, pipeline.ErrShutdown) {
		a.dropDatabases(ctx, job, p)
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	return a.collect(ctx, job, p, ended)
}

// refusal is an error of the user's making: the action has failed, it is not
// that it could not be run.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// plan returns the plan of the job, as it was made when the job was given the
// first time.
func (a Action) plan(ctx context.Context, job pipeline.Job, config pipeline.Build, of part) (plan, error) {
	var kept plan
	if ok, err := box.ReadRecord(job.Dir, planFile, &kept); ok || err != nil {
		return kept, err
	}
	if err := a.unpack(ctx, job); err != nil {
		return plan{}, err
	}
	spec, err := a.spec(job, config)
	if err != nil {
		return plan{}, err
	}
	if !of.told {
		tell(job.Log, config, spec.Warnings)
	}
	p, err := newPlan(request{job: job, config: config, spec: spec, started: a.now(), account: a.Account.orDefault(), label: of.label})
	if err != nil {
		return plan{}, refusal(err.Error())
	}
	if p.Part = of.label; of.apart {
		p.Build.Label = ""
	}
	return p, box.WriteRecord(job.Dir, planFile, p)
}

func (a Action) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// unpack makes the source and the further inputs anew.
func (a Action) unpack(ctx context.Context, job pipeline.Job) error {
	if len(job.Inputs) == 0 {
		return errors.New("unpack the source: the action has no input artifact")
	}
	for i, input := range job.Inputs {
		dir := filepath.Join(job.Dir, sourceDir)
		if i > 0 {
			if !filepath.IsLocal(input.Name) || strings.ContainsRune(input.Name, filepath.Separator) {
				return fmt.Errorf("unpack artifact %q: it has no name for a directory", input.Name)
			}
			dir = filepath.Join(job.Dir, InputsDir, input.Name)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("unpack artifact %q: %w", input.Name, err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("unpack artifact %q: %w", input.Name, err)
		}
		if err := a.Artifacts.Unpack(ctx, input.Digest, dir); err != nil {
			return fmt.Errorf("unpack artifact %q: %w", input.Name, err)
		}
	}
	return nil
}

// spec reads the buildspec of the source, or makes one of the commands.
func (a Action) spec(job pipeline.Job, config pipeline.Build) (buildspec.Spec, error) {
	if len(config.Commands) > 0 {
		return synthesize(config), nil
	}
	if inline(config.Buildspec) {
		return inlineSpec(config.Buildspec)
	}
	name := cmp.Or(config.Buildspec, buildspec.FileName)
	if !filepath.IsLocal(name) {
		return buildspec.Spec{}, refuse("the buildspec %q is not inside the source; name it by its path from the top of the repository", name)
	}
	root, err := os.OpenRoot(filepath.Join(job.Dir, sourceDir))
	if err != nil {
		return buildspec.Spec{}, fmt.Errorf("read the buildspec: %w", err)
	}
	defer root.Close()
	text, err := readSpec(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return buildspec.Spec{}, missing(root.FS(), filepath.ToSlash(name), job.Revision)
	}
	if err != nil {
		return buildspec.Spec{}, refuse("read the buildspec %s: %v", name, err)
	}
	spec, err := buildspec.Parse(name, text)
	if err != nil {
		return buildspec.Spec{}, refusal(err.Error())
	}
	return spec, nil
}

// tell writes what a buildspec says and the build does not do.
func tell(log io.Writer, config pipeline.Build, warnings []buildspec.Warning) {
	name := cmp.Or(config.Buildspec, buildspec.FileName)
	if inline(name) {
		name = inlineName
	}
	for _, w := range warnings {
		fmt.Fprintf(log, "warning: %s:%d:%d: %s\n", name, w.Line, w.Column, w.Message)
	}
}

// readSpec reads a buildspec, and of one that is too large only enough to show
// it.
func readSpec(root *os.Root, name string) ([]byte, error) {
	f, _, err := artifact.OpenRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 2<<20))
}

// mostNames is how many files are named where one is missing.
const mostNames = 12

// missing says that the source has no such buildspec, and what it has instead.
func missing(source fs.FS, name string, revision pipeline.Revision) error {
	where, dir := "the top of the source", path.Dir(path.Clean(name))
	entries, err := fs.ReadDir(source, dir)
	if dir != "." && err == nil {
		where = dir + "/"
	}
	if err != nil {
		where += fmt.Sprintf(", which has no directory %s,", dir)
		entries, _ = fs.ReadDir(source, ".")
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name()+"/")
		} else {
			names = append(names, e.Name())
		}
	}
	if len(names) > mostNames {
		names = append(names[:mostNames], "...")
	}
	found := "is empty"
	if len(names) > 0 {
		found = "has " + strings.Join(slices.Clip(names), ", ")
	}
	what := "the source"
	if revision.Commit != "" {
		what = "commit " + revision.Short()
	}
	return refuse("%s has no %s: %s %s. Add the file, or say where it is by build.buildspec in towline.yaml or --buildspec on the command line, or list the commands by build.commands.",
		what, name, where, found)
}
