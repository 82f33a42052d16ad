package builder_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/store"
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
	y := setup(t, func(c *builder.Config) {
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
	b := y.ended(y.start(builder.StartRequest{Project: "web", Batch: true}).ID)
	if b.Status != project.Failed || dir.Load() == nil {
		t.Fatalf("%s\n%s", short(b), y.log(b))
	}
	y.restart() // so that what ended the batch has let go
	left := *dir.Load()
	if err := os.Rename(left+".aside", left); err != nil {
		t.Fatal(err)
	}
	if _, err := y.RetryBatch(t.Context(), b.ID, false, builder.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	if b = y.ended(b.ID); b.Status != project.Succeeded {
		t.Errorf("run again: %s\n%s", short(b), y.log(b))
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the first run: %v", err)
	}
}

// TestABatchIsRunAgainWhileTheLastRunLetsGo removes the directory of the last run
// once more when the next one runs, as a server does that takes its time.
func TestABatchIsRunAgainWhileTheLastRunLetsGo(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.batchProject(single(`'test $CODEBUILD_BUILD_NUMBER -gt 1 || exit 1; echo only runs; exec sleep 1000'`))
	b := y.ended(y.start(builder.StartRequest{Project: "web", Batch: true}).ID)
	if _, err := y.RetryBatch(t.Context(), b.ID, false, builder.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	y.running(b, 1)
	work := filepath.Join(y.config.Dir, "projects", "work")
	if err := os.RemoveAll(filepath.Join(work, b.UUID())); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadDir(work); err != nil || len(all) != 1 {
		t.Fatalf("its directory was taken away: %v, %v\n%s", all, err, y.log(b))
	}
	y.stop(b.ID)
	if b = y.ended(b.ID); b.Status != project.Stopped {
		t.Errorf("when it is stopped: %s\n%s", short(b), y.log(b))
	}
}

// TestABatchIsNotDeletedThatIsRunAgainMeanwhile has a batch be run again after
// its deletion was asked for, and before that has come to the database.
func TestABatchIsNotDeletedThatIsRunAgainMeanwhile(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.batchProject(single(`'test $CODEBUILD_BUILD_NUMBER -gt 1 || exit 1; echo only runs; exec sleep 1000'`))
	b := y.ended(y.start(builder.StartRequest{Project: "web", Batch: true}).ID)
	part := b.Groups[0].Build
	deleted := make(chan error)
	if err := y.config.Store.Update(t.Context(), func(q store.Querier) error {
		stats := y.config.Store.Handle().Stats
		before := stats().WaitCount
		go func() {
			_, err := y.DeleteBatch(t.Context(), b.ID)
			deleted <- err
		}()
		waittest.Until(t, "the deletion waits for the database", func() bool { return stats().WaitCount > before })
		return runAgain(t.Context(), q, b.ID)
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; !errors.Is(err, project.ErrInvalid) || !strings.Contains(err.Error(), "has not ended: stop it first") {
		t.Errorf("deleted: %v", err)
	}
	if got := y.build(part); got.Status != project.Failed {
		t.Errorf("its build: %s", short(got))
	}
	if y.log(y.build(part)) == "" {
		t.Error("the log of its build is gone")
	}
	y.restart()
	if got := y.running(b, 1); got[0].ID == part {
		t.Errorf("what runs is %s", short(got[0]))
	}
}

// runAgain does to a batch of one build what RetryBatch does, in a transaction
// of the test's.
func runAgain(ctx context.Context, q store.Querier, id string) error {
	stored, err := store.GetBuild(ctx, q, id)
	if err != nil {
		return err
	}
	var b project.Build
	if err := json.Unmarshal(stored.Record, &b); err != nil {
		return err
	}
	b.Groups[0].Prior, b.Groups[0].Build = []string{b.Groups[0].Build}, ""
	b.Status, b.Running, b.Rerun = project.InProgress, time.Time{}, 1
	stored.Status, stored.Ended = string(b.Status), false
	if stored.Record, err = json.Marshal(b); err != nil {
		return err
	}
	return store.SetBuild(ctx, q, stored)
}
