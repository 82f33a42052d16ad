package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/towline/towline/internal/pipeline"
)

// collect makes the result of a build that has ended: it reads the reports and,
// when all went well, packs the artifacts. Everything is read through os.Root:
// the build's links must not lead the server to files of its own.
func (a Action) collect(ctx context.Context, job pipeline.Job, p plan, ended Ended) (pipeline.Result, error) {
	p.expand(ended.Expanded)
	t, err := openTrees(p)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("collect the build's files: %w", err)
	}
	defer t.close()
	reports := t.readReports(p.Reports, job.Log)
	if err := hide(ctx, p.Build, reports); err != nil {
		return pipeline.Result{}, err
	}
	tests := pipeline.Summarize(reports)
	if err := a.record(ctx, job, reports, tests); err != nil {
		return pipeline.Result{}, err
	}
	result := pipeline.Result{Outcome: pipeline.Succeeded, Tests: tests, Variables: ended.Exported, Phases: told(ended)}
	if message := failure(p.Build, ended, tests); message != "" {
		result.Outcome, result.Message = pipeline.Failed, message
	} else {
		made, err := a.packAll(ctx, job, p, t)
		no, refused := errors.AsType[refusal](err)
		switch {
		case refused:
			result.Outcome, result.Message = pipeline.Failed, no.Error()
		case err != nil:
			return pipeline.Result{}, err
		default:
			result.Artifacts = made
		}
	}
	result.Summary = summary(result, ended)
	return result, nil
}

// trees are the directories that a build's files are taken from: the source
// and the further inputs.
type trees struct {
	all []tree // the source first
}

// tree is one of them, as the server finds it and as the commands saw it.
type tree struct {
	root *os.Root
	seen string // "" when nobody knows
}

func openTrees(p plan) (trees, error) {
	var t trees
	dirs := []string{p.Build.Source}
	for _, name := range p.Build.Inputs {
		dirs = append(dirs, filepath.Join(p.Build.Dir, InputsDir, name))
	}
	for i, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.close()
			return trees{}, err
		}
		t.all = append(t.all, tree{root: root})
		if i < len(p.Seen) && filepath.IsAbs(p.Seen[i]) {
			t.all[i].seen = filepath.Clean(p.Seen[i])
		}
	}
	return t, nil
}

func (t trees) close() {
	for _, one := range t.all {
		_ = one.root.Close()
	}
}

func (t trees) source() *os.Root { return t.all[0].root }
