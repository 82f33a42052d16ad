package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Packer puts files into the artifact store. The action calls it once per job;
// calls of several jobs overlap. Packing the same files again gives the same
// digest and does no harm.
type Packer interface {
	// Pack stores the files under dir; files are slash-separated paths
	// relative to it, and nil means all. The digest is "sha256:hex" and the
	// size in bytes, both of what is stored.
	Pack(ctx context.Context, dir string, files []string) (digest string, size int64, err error)
}

// Action carries out Source/Git: it takes the execution's commit, or the newest
// one of another repository, and stores the tree as an artifact.
type Action struct {
	Repositories *Repositories
	Artifacts    Packer
}

// Run does the job. The variables of its result are CodePipeline's for a git
// source: CommitId, CommitMessage (the subject), BranchName, AuthorDate (RFC
// 3339) and RepositoryName. It fails when the commit or its repository is not
// there, and may be run again at any point.
func (a Action) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	var cfg pipeline.Source
	if err := json.Unmarshal(job.Configuration, &cfg); err != nil {
		return pipeline.Result{}, fmt.Errorf("read configuration of action %s: %w", job.Action.Name, err)
	}
	rev, err := a.revision(ctx, cfg, job.Revision)
	if problem, refused := errors.AsType[*Error](err); refused {
		return pipeline.Fail("action %s: %s", job.Action.Name, problem.Error()), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	// What an interrupted run has left is not trusted to be whole.
	dir := filepath.Join(job.Dir, "source")
	if err := os.RemoveAll(dir); err != nil {
		return pipeline.Result{}, fmt.Errorf("clear directory of source: %w", err)
	}
	tree, err := a.Repositories.Export(ctx, rev.Repository, rev.Commit, dir)
	if _, refused := errors.AsType[*Error](err); refused {
		return pipeline.Fail("%s", err.Error()), nil
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	describeTree(job, rev, tree)
	digest, size, err := a.Artifacts.Pack(ctx, dir, nil)
	if err != nil {
		return pipeline.Result{}, fmt.Errorf("store source of %s: %w", rev.Short(), err)
	}
	return pipeline.Result{
		Outcome:   pipeline.Succeeded,
		Summary:   "push " + rev.Short(),
		Variables: variables(rev),
		Artifacts: []pipeline.Artifact{{Name: outputName(job.Action), Digest: digest, Size: size}},
	}, nil
}

// revision is the execution's own, or for a source that is another repository
// than the execution was started for, the newest one there.
func (a Action) revision(ctx context.Context, cfg pipeline.Source, own pipeline.Revision) (pipeline.Revision, error) {
	other := cfg.Repository
	if cfg.URL != "" {
		other = MirrorName(cfg.URL)
	}
	if other == "" || other == own.Repository {
		return own, nil
	}
	rev, err := a.Repositories.Revision(ctx, other, cfg.Branch)
	if cfg.URL != "" && errors.Is(err, ErrNoRepository) {
		return rev, &Error{Kind: ErrNoRepository, Message: cfg.URL + " is not mirrored yet", Hint: fmt.Sprintf("if it wants credentials, give them with: towline mirror add %s %s", other, cfg.URL)}
	}
	return rev, err
}

// outputName is the artifact's name: the action's first output, or "source".
func outputName(action pipeline.Action) string {
	if len(action.Outputs) > 0 {
		return action.Outputs[0]
	}
	return "source"
}

func variables(rev pipeline.Revision) map[string]string {
	return map[string]string{
		"CommitId":       rev.Commit,
		"CommitMessage":  rev.Message,
		"BranchName":     rev.Branch,
		"AuthorDate":     rev.Time.UTC().Format(time.RFC3339),
		"RepositoryName": rev.Repository,
	}
}

// describeTree logs what was taken and what was not.
func describeTree(job pipeline.Job, rev pipeline.Revision, tree Tree) {
	if job.Log == nil {
		return
	}
	var log strings.Builder
	fmt.Fprintf(&log, "commit %s of repository %s, branch %s: %d files, %d bytes\n",
		rev.Commit, rev.Repository, rev.Branch, tree.Files, tree.Bytes)
	each(&log, tree.LeftOut, "left out symbolic link %s: it leads out of the repository\n")
	each(&log, tree.Submodules, "left submodule %s empty: other repositories are not fetched; copy its files into this one, or fetch them in a build\n")
	fmt.Fprint(job.Log, log.String())
}

// each writes a line for each of the first paths and the number of the rest.
func each(log *strings.Builder, paths []string, format string) {
	const most = 20
	for i, path := range paths {
		if i == most {
			fmt.Fprintf(log, "and %d more of this kind\n", len(paths)-most)
			return
		}
		fmt.Fprintf(log, format, clean(path))
	}
}
