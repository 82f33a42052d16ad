package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// output is an artifact that is to be made, and what it will be called.
type output struct {
	name string
	spec buildspec.Artifacts
}

// packAll stores the artifacts. An error that is a refusal is the build's fault.
func (a Action) packAll(ctx context.Context, job pipeline.Job, p plan, t trees) ([]pipeline.Artifact, error) {
	wanted, err := outputs(job, p)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Secondary {
		if !slices.ContainsFunc(wanted, func(o output) bool { return o.spec.ID == s.ID }) {
			fmt.Fprintf(job.Log, "artifacts: the secondary artifact %s is not made: the action has no output of that name\n", s.ID)
		}
	}
	var made []pipeline.Artifact
	for i, o := range wanted {
		artifact, err := a.pack(ctx, job, o, packing{trees: t, job: p.Build.Dir, dir: fmt.Sprintf("%s%d", gatherDir, i)})
		if err != nil {
			return nil, err
		}
		made = append(made, artifact)
	}
	return made, nil
}

// outputs are the artifacts that an action makes. Where it names its outputs
// these are secondary artifacts of the same name, and the first that is none is
// the primary one. Else there is one for each that the buildspec has.
func outputs(job pipeline.Job, p plan) ([]output, error) {
	primary := len(p.Artifacts.Files) > 0
	var all []output
	if p.Part != "" {
		return outputsOfPart(p), nil
	}
	if len(job.Action.Outputs) == 0 {
		if primary {
			all = append(all, output{cmp.Or(p.Artifacts.Name, job.Action.Name), p.Artifacts})
		}
		for _, s := range p.Secondary {
			all = append(all, output{s.ID, s})
		}
		return all, nil
	}
	for _, name := range job.Action.Outputs {
		at := slices.IndexFunc(p.Secondary, func(s buildspec.Artifacts) bool { return s.ID == name })
		switch {
		case at >= 0:
			all = append(all, output{name, p.Secondary[at]})
		case primary:
			all, primary = append(all, output{name, p.Artifacts}), false
		case len(job.Action.Outputs) > 1:
			return nil, refuse("artifacts: the action's output %s is not among the secondary-artifacts of the buildspec, which are %s; an action with several outputs finds them there by name",
				name, cmp.Or(strings.Join(secondaries(p), ", "), "none"))
		}
	}
	return all, nil
}

// outputsOfPart are all artifacts that a build of a batch makes, by CodePipeline's
// names: its identifier, and for a secondary one that of the artifact behind it.
func outputsOfPart(p plan) []output {
	var all []output
	if len(p.Artifacts.Files) > 0 {
		all = append(all, output{p.Part, p.Artifacts})
	}
	for _, s := range p.Secondary {
		all = append(all, output{pipeline.SecondaryOf(p.Part, s.ID), s})
	}
	return all
}

func secondaries(p plan) []string {
	var ids []string
	for _, s := range p.Secondary {
		ids = append(ids, s.ID)
	}
	return ids
}

// pack stores one artifact.
func (a Action) pack(ctx context.Context, job pipeline.Job, o output, g packing) (pipeline.Artifact, error) {
	spec, what := o.spec, "artifacts"
	if spec.ID != "" {
		what += " " + spec.ID
	}
	g.what, g.log, g.flat = what, job.Log, spec.DiscardPaths
	files, err := g.trees.find(search{Files: spec.Files, Exclude: spec.Exclude, Base: spec.BaseDirectory, Symlinks: spec.Symlinks})
	if err != nil {
		return pipeline.Artifact{}, refuse("%s: %v", what, err)
	}
	files = g.inside(files, spec.Symlinks)
	if len(files) == 0 {
		return pipeline.Artifact{}, refuse("%s: no file matches %s in %s; what the commands made is not where artifacts.files and base-directory look", what, strings.Join(spec.Files, ", "), where(spec.BaseDirectory))
	}
	dir, names, err := g.gather(files, spec.Symlinks)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	digest, size, err := a.store(ctx, what, dir, names)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	kept := ""
	if digest != "" { // where artifacts are kept by it
		kept = ", " + digest
	}
	fmt.Fprintf(job.Log, "artifact %s: %s, %s%s\n", o.name, count(len(names), "file"), megabytes(size), kept)
	return pipeline.Artifact{Name: o.name, Digest: digest, Size: size}, nil
}

// store packs files of dir. That they are too many or too large is the user's to
// mend.
func (a Action) store(ctx context.Context, what, dir string, files []string) (digest string, size int64, err error) {
	digest, size, err = a.Artifacts.Pack(ctx, dir, files)
	if limit, ok := errors.AsType[*artifact.LimitError](err); ok {
		return "", 0, refuse("%s: %v", what, limit)
	}
	if err != nil {
		return "", 0, fmt.Errorf("pack the artifact: %w", err)
	}
	return digest, size, nil
}

func where(base string) string {
	if base = path.Clean(filepath.ToSlash(base)); base == "." {
		return "the source"
	}
	return base + "/"
}
