package project_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/waittest"
)

// closing is a log that says when it is closed.
type closing struct {
	io.WriteCloser
	closed func() error
}

func (c closing) Close() error { return errors.Join(c.WriteCloser.Close(), c.closed()) }

// single is a batch of one build.
func single(command string) string {
	return "version: 0.2\nbatch: {build-list: [{identifier: only}]}\nphases:\n  build:\n    commands:\n      - " + command + "\n"
}

// TestABatchIsRunAgainWhereTheLastRunWasLeft has the directory of a batch still
// be there after its end, as a server leaves it that is killed just then.
func TestABatchIsRunAgainWhereTheLastRunWasLeft(t *testing.T) {
	t.Parallel()
	var dir atomic.Pointer[string]
	y := setup(t, func(c *project.Config) {
		c.OpenLog = func(path string) (io.WriteCloser, error) {
			log, err := report.OpenLog(path)
			batch := strings.TrimSuffix(filepath.Base(path), ".log")
			work := filepath.Join(c.Dir, "projects", "work", batch)
			return closing{log, func() error {
				err := os.Rename(work, work+".aside")
				if errors.Is(err, os.ErrNotExist) {
					return nil // it is the log of a build of the batch
				}
				dir.CompareAndSwap(nil, &work)
				return err
			}}, err
		}
	})
	y.batchProject(single(`test $CODEBUILD_BUILD_NUMBER -gt 1`))
	b := y.ended(y.start(project.StartRequest{Project: "web", Batch: true}).ID)
	if b.Status != project.Failed || dir.Load() == nil {
		t.Fatalf("%s\n%s", short(b), y.log(b))
	}
	y.restart() // so that what ended the batch has let go
	left := *dir.Load()
	if err := os.Rename(left+".aside", left); err != nil {
		t.Fatal(err)
	}
	if _, err := y.RetryBatch(t.Context(), b.ID, false, project.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	if b = y.ended(b.ID); b.Status != project.Succeeded {
		t.Errorf("run again: %s\n%s", short(b), y.log(b))
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the first run: %v", err)
	}
}

// TestABatchIsRunAgainWhileTheLastRunLetsGo has a directory that takes its time
// to be removed.
func TestABatchIsRunAgainWhileTheLastRunLetsGo(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.batchProject(single(`'test $CODEBUILD_BUILD_NUMBER -gt 1 || { seq 30000 | xargs touch; exit 1; }; echo only runs; exec sleep 1000'`))
	b := y.ended(y.start(project.StartRequest{Project: "web", Batch: true}).ID)
	if _, err := y.RetryBatch(t.Context(), b.ID, false, project.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	y.running(b, 1)
	work := filepath.Join(y.config.Dir, "projects", "work")
	waittest.Until(t, "one directory is left", func() bool {
		all, err := os.ReadDir(work)
		return err == nil && len(all) == 1 && all[0].Name() != b.UUID()
	})
	if b = y.build(b.ID); b.Done() {
		t.Fatalf("its directory was taken away: %s\n%s", short(b), y.log(b))
	}
	y.stop(b.ID)
	if b = y.ended(b.ID); b.Status != project.Stopped {
		t.Errorf("when it is stopped: %s\n%s", short(b), y.log(b))
	}
}
