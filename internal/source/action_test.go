package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/pipeline"
)

// packer records what it was given.
type packer struct {
	t     *testing.T
	files map[string]string
	err   error
}

func (p *packer) Pack(_ context.Context, dir string, _ []string) (string, int64, error) {
	p.files = files(p.t, dir)
	return "sha256:feed", 42, p.err
}

// job is a job for the revision.
func job(t *testing.T, rev pipeline.Revision, configured string) (pipeline.Job, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return pipeline.Job{
		Pipeline: "web", Execution: "web-1", Number: 1, Stage: "Source", Attempt: 1,
		Action:        pipeline.Action{Name: "push", Outputs: []string{"src"}},
		Revision:      rev,
		Configuration: must[[]byte](t)(json.Marshal(pipeline.Source{Repository: configured})),
		Dir:           t.TempDir(),
		Log:           &log,
	}, &log
}

func TestAction(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	if err := os.Symlink("/etc/passwd", filepath.Join(c.dir, "link")); err != nil {
		t.Fatal(err)
	}
	commit := c.commit("main.go", "package main\n", "Start")
	c.git("push", "origin", "main")
	rev := must[pipeline.Revision](t)(s.Revision(t.Context(), "web", "main"))

	t.Run("makes the commit's tree an artifact, twice if need be", func(t *testing.T) {
		t.Parallel()
		p := &packer{t: t}
		j, log := job(t, rev, "web")
		// What an interrupted run may leave.
		if err := os.MkdirAll(filepath.Join(j.Dir, "source", "half"), 0o755); err != nil {
			t.Fatal(err)
		}
		want := pipeline.Result{
			Outcome: pipeline.Succeeded,
			Summary: "push " + commit[:7],
			Variables: map[string]string{
				"CommitId": commit, "CommitMessage": "Start", "BranchName": "main", "AuthorDate": "2024-05-06T05:08:09Z", "RepositoryName": "web",
			},
			Artifacts: []pipeline.Artifact{{Name: "src", Digest: "sha256:feed", Size: 42}},
		}
		for range 2 {
			got := must[pipeline.Result](t)(Action{s.Repositories, p}.Run(t.Context(), j))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"README": "hello\n", "main.go": "package main\n"}, p.files); diff != "" {
				t.Errorf("packed (-want +got):\n%s", diff)
			}
		}
		wantContains(t, log.String(), "left out symbolic link link -> /etc/passwd: it leads out of the repository\n", "commit "+commit+" of repository web, branch main: 3 files")
	})

	t.Run("fails when the commit is not there", func(t *testing.T) {
		t.Parallel()
		gone := rev
		gone.Commit = strings.Repeat("1", 40)
		j, _ := job(t, gone, "web")
		got := must[pipeline.Result](t)(Action{s.Repositories, &packer{t: t}}.Run(t.Context(), j))
		if got.Outcome != pipeline.Failed {
			t.Errorf("outcome %s", got.Outcome)
		}
		wantContains(t, got.Message, "repository web has no revision", "push it")
	})

	t.Run("takes the newest commit of another repository, and of that branch", func(t *testing.T) {
		t.Parallel()
		tools := work(t, s.create(t, "tools"))
		tools.git("push", "origin", "main")
		newest := tools.commit("tool", "1", "Newest")
		tools.git("push", "origin", "main:next")
		p := &packer{t: t}
		j, log := job(t, rev, "")
		j.Configuration = must[[]byte](t)(json.Marshal(pipeline.Source{Repository: "tools", Branch: "next"}))
		got := must[pipeline.Result](t)(Action{s.Repositories, p}.Run(t.Context(), j))
		if got.Outcome != pipeline.Succeeded || got.Variables["CommitId"] != newest || got.Variables["RepositoryName"] != "tools" || p.files["tool"] != "1" {
			t.Errorf("got %+v, packed %v", got, p.files)
		}
		wantContains(t, log.String(), "commit "+newest+" of repository tools, branch next")
	})

	t.Run("fails when another repository is not there", func(t *testing.T) {
		t.Parallel()
		const url = "https://forge.example.com/acme/shop.git"
		for want, source := range map[string]pipeline.Source{
			`there is no repository "shop"`:                        {Repository: "shop"},
			"towline mirror add " + MirrorName(url) + " " + url:    {URL: url},
			`repository tools-2 has no revision "refs/heads/gone"`: {Repository: "tools-2", Branch: "refs/heads/gone"},
		} {
			if source.Branch != "" {
				s.create(t, source.Repository)
			}
			j, _ := job(t, rev, "")
			j.Configuration = must[[]byte](t)(json.Marshal(source))
			got := must[pipeline.Result](t)(Action{s.Repositories, &packer{t: t}}.Run(t.Context(), j))
			if got.Outcome != pipeline.Failed {
				t.Errorf("outcome %s", got.Outcome)
			}
			wantContains(t, got.Message, "action push: ", want)
		}
	})

	t.Run("faults when the store does", func(t *testing.T) {
		t.Parallel()
		full := errors.New("disk full")
		j, _ := job(t, rev, "")
		_, err := Action{s.Repositories, &packer{t: t, err: full}}.Run(t.Context(), j)
		if !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	})
}
