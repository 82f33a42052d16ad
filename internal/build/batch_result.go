package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	result := pipeline.Result{Outcome: pipeline.Succeeded}
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

// together packs what the builds have made as one artifact: each in a directory
// of its own, or all in one when they are combined.
func (a Action) together(ctx context.Context, job pipeline.Job, tasks []buildspec.Task, results []*pipeline.Result, combine bool) ([]pipeline.Artifact, error) {
	top := filepath.Join(job.Dir, togetherDir)
	whole := filepath.Join(top, "parted")
	if err := errors.Join(os.RemoveAll(top), os.MkdirAll(whole, 0o700)); err != nil {
		return nil, fmt.Errorf("gather the batch's files: %w", err)
	}
	defer os.RemoveAll(top)
	name := job.Action.Name
	if len(job.Action.Outputs) > 0 {
		name = job.Action.Outputs[0]
	}
	found := false
	for i, t := range tasks {
		if results[i] == nil || len(results[i].Artifacts) == 0 {
			continue
		}
		found = true
		one := filepath.Join(whole, t.Identifier)
		if err := a.Artifacts.Unpack(ctx, results[i].Artifacts[0].Digest, one); err != nil {
			return nil, fmt.Errorf("gather the files of build %s: %w", t.Identifier, err)
		}
		if combine {
			if err := join(one, filepath.Join(top, "combined"), t.Identifier); err != nil {
				return nil, err
			}
		}
	}
	if !found {
		return nil, nil
	}
	if combine {
		whole = filepath.Join(top, "combined")
	}
	digest, size, err := a.Artifacts.Pack(ctx, whole, nil)
	if err != nil {
		return nil, fmt.Errorf("pack the batch's artifact: %w", err)
	}
	fmt.Fprintf(job.Log, "artifact %s: the files of %s, %s, %s\n", name, count(len(tasks), "build"), megabytes(size), digest)
	return []pipeline.Artifact{{Name: name, Digest: digest, Size: size}}, nil
}

// join moves the files of a tree into another one. Two builds that make the same
// file are the user's to part.
func join(from, to, id string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if _, err := os.Lstat(target); err == nil {
			return refuse("build %s makes %s, as another build of the batch does; let each have files of its own, or do not combine them", id, name)
		}
		return os.Rename(path, target)
	})
}
