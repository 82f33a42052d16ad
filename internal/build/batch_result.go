package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// summarize makes one result of those of a batch's builds, without artifacts. A
// build that did not run has none.
func summarize(tasks []buildspec.Task, results []*pipeline.Result) pipeline.Result {
	var failed, ignored []string
	var tests pipeline.TestReport
	found := false
	for i, t := range tasks {
		r := results[i]
		if r != nil && r.Tests != nil {
			found = true
			addTests(&tests, *r.Tests)
		}
		switch {
		case r == nil:
			failed = append(failed, fmt.Sprintf("%s: did not run, since another build of the batch has failed", t.Identifier))
		case r.Outcome == pipeline.Succeeded:
		case t.IgnoreFailure:
			ignored = append(ignored, t.Identifier)
		default:
			failed = append(failed, fmt.Sprintf("%s: %s", t.Identifier, strings.ReplaceAll(r.Message, "\n", "\n  ")))
		}
	}
	result := pipeline.Result{Outcome: pipeline.Succeeded, Variables: exportedBy(tasks, results)}
	words := []string{count(len(tasks), "build")}
	if len(ignored) > 0 {
		words = append(words, strings.Join(ignored, ", ")+" failed, which is ignored")
	}
	if found {
		result.Tests = &tests
		words = append(words, fmt.Sprintf("%d passed", tests.Passed))
		if tests.Failed > 0 {
			words[len(words)-1] += fmt.Sprintf(", %d failed", tests.Failed)
		}
	}
	result.Summary = strings.Join(words, " · ")
	if len(failed) > 0 {
		result.Outcome = pipeline.Failed
		result.Message = fmt.Sprintf("%d of %s of the batch failed:\n%s", len(failed), count(len(tasks), "build"), strings.Join(failed, "\n"))
	}
	return result
}

// exportedBy are the variables that the builds of a batch export: each by its
// own name, where the last build of the batch wins, and behind the identifier of
// its build.
func exportedBy(tasks []buildspec.Task, results []*pipeline.Result) map[string]string {
	all := map[string]string{}
	for i, t := range tasks {
		if results[i] == nil {
			continue
		}
		for name, value := range results[i].Variables {
			all[name], all[t.Identifier+"_"+name] = value, value
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// mostFailures is how many failed tests a report names.
const mostFailures = 100

func addTests(sum *pipeline.TestReport, more pipeline.TestReport) {
	sum.Passed += more.Passed
	sum.Failed += more.Failed
	sum.Skipped += more.Skipped
	sum.Seconds += more.Seconds
	room := max(0, mostFailures-len(sum.Failures))
	sum.Failures = append(sum.Failures, more.Failures[:min(room, len(more.Failures))]...)
	if more.Coverage == nil {
		return
	}
	if sum.Coverage == nil {
		sum.Coverage = &pipeline.Coverage{}
	}
	sum.Coverage.Add(*more.Coverage)
}

// The directories of togetherDir.
const (
	partedDir   = "parted"   // one of each build's files
	combinedDir = "combined" // of all files
)

// together makes the artifacts of a batch: for each output that is named as
// CodePipeline has it the one of that build, and of what the builds have made
// as their primary artifacts one whole, for the first other output or for none.
func (a Action) together(ctx context.Context, job pipeline.Job, of walk, join bool) ([]pipeline.Artifact, error) {
	var made []pipeline.Artifact
	whole, named := job.Action.Name, len(job.Action.Outputs) == 0
	for _, name := range job.Action.Outputs {
		one, ok := of.made(name)
		switch {
		case ok && !join:
			made = append(made, one)
		case !named:
			whole, named = name, true
		}
	}
	if !named {
		return made, nil
	}
	if len(job.Action.Outputs) == 0 && !join {
		made = of.secondary()
	}
	one, err := a.whole(ctx, job, of, wholeOf{name: whole, join: join})
	if err != nil || one.Digest == "" {
		return made, err
	}
	return append([]pipeline.Artifact{one}, made...), nil
}

// secondary are the secondary artifacts of all builds.
func (w *walk) secondary() (all []pipeline.Artifact) {
	for i, t := range w.tasks {
		if w.results[i] == nil {
			continue
		}
		for _, one := range w.results[i].Artifacts {
			if one.Name != t.Identifier {
				all = append(all, one)
			}
		}
	}
	return all
}

// made is the artifact of that name that one of the builds has made.
func (w *walk) made(name string) (pipeline.Artifact, bool) {
	for _, r := range w.results {
		if r == nil {
			continue
		}
		for _, one := range r.Artifacts {
			if one.Name == name {
				return one, true
			}
		}
	}
	return pipeline.Artifact{}, false
}

// wholeOf is the artifact of a whole batch.
type wholeOf struct {
	name string
	join bool // all files in one directory
}

// whole packs what the builds have made as one artifact: each in a directory of
// its own, or all in one when they are joined. It has no digest when they have
// made nothing.
func (a Action) whole(ctx context.Context, job pipeline.Job, of walk, as wholeOf) (pipeline.Artifact, error) {
	top := filepath.Join(job.Dir, togetherDir)
	if err := errors.Join(os.RemoveAll(top), os.MkdirAll(filepath.Join(top, partedDir), 0o700)); err != nil {
		return pipeline.Artifact{}, fmt.Errorf("gather the batch's files: %w", err)
	}
	defer os.RemoveAll(top)
	var found []string
	for _, t := range of.tasks {
		one, ok := of.made(t.Identifier)
		if !ok {
			continue
		}
		found = append(found, t.Identifier)
		if err := a.Artifacts.Unpack(ctx, one.Digest, filepath.Join(top, partedDir, t.Identifier)); err != nil {
			return pipeline.Artifact{}, fmt.Errorf("gather the files of build %s: %w", t.Identifier, err)
		}
	}
	if len(found) == 0 {
		return pipeline.Artifact{}, nil
	}
	dir := partedDir
	if as.join {
		dir = combinedDir
		if err := combine(top, found); err != nil {
			return pipeline.Artifact{}, err
		}
	}
	digest, size, err := a.store(ctx, "artifacts of the batch", filepath.Join(top, dir), nil)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	fmt.Fprintf(job.Log, "artifact %s: the files of %s, %s, %s\n", as.name, count(len(found), "build"), megabytes(size), digest)
	return pipeline.Artifact{Name: as.name, Digest: digest, Size: size}, nil
}

// combine moves the files of all builds into one directory. By a root, since the
// builds have made the links among them. Two builds that make the same file are
// the user's to part.
func combine(top string, ids []string) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return fmt.Errorf("combine the batch's files: %w", err)
	}
	defer root.Close()
	for _, id := range ids {
		err := fs.WalkDir(root.FS(), path.Join(partedDir, id), func(from string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(strings.TrimPrefix(from, path.Join(partedDir, id)), "/")
			to := path.Join(combinedDir, name)
			there, err := root.Lstat(to)
			switch {
			case err == nil && (!d.IsDir() || !there.IsDir()):
				return refuse("build %s makes %s, as another build of the batch does; let each have files of its own, or do not combine them", id, name)
			case d.IsDir():
				return root.MkdirAll(to, 0o755)
			}
			return root.Rename(from, to)
		})
		if err != nil {
			return fmt.Errorf("combine the batch's files: %w", err)
		}
	}
	return nil
}
