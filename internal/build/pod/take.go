package pod

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/towline/towline/internal/build/pod/runner"
	"github.com/towline/towline/internal/build/pod/tree"
)

// take takes what an ended build has made out of its Pod, and keeps the result.
func (r *run) take(ctx context.Context, l *link) (result, error) {
	var ended result
	err := r.insist(ctx, func(ctx context.Context) error {
		got, err := l.result(ctx)
		ended = result(got)
		return err
	})
	if err == nil {
		err = r.takeFiles(ctx, l)
	}
	if err == nil {
		err = r.files.write(resultFile, ended)
	}
	return ended, err
}

// takeFiles makes the source as it is in the Pod. The changes are those since
// the build began, so that a source which some of them were made to already is
// restored first.
func (r *run) takeFiles(ctx context.Context, l *link) error {
	return r.insist(ctx, func(ctx context.Context) error {
		if r.record.Fetching {
			if err := r.build.Restore(ctx); err != nil {
				return final{fmt.Errorf("restore the source: %w", err)}
			}
		} else {
			next := r.record
			next.Fetching = true
			if err := r.files.save(&r.record, next); err != nil {
				return final{err}
			}
		}
		return l.receive(ctx, "/files", r.unpack)
	})
}

// unpack writes the changes of a build to its source.
func (r *run) unpack(from io.Reader) error {
	u, err := tree.NewUnpacker(from, r.config.Limits)
	if err != nil {
		return err
	}
	defer u.Close()
	text, err := u.Text(runner.GoneName)
	if err != nil {
		return err
	}
	var gone []string
	if err := json.Unmarshal(text, &gone); err != nil {
		return final{fmt.Errorf("read what the build has removed: %w", err)}
	}
	if err := tree.Remove(r.build.Source, gone); err != nil {
		return final{err}
	}
	err = u.Trees(map[string]string{runner.SourceTree: r.build.Source})
	if tree.IsRefusal(err) {
		return final{fmt.Errorf("take the files of the build: %w", err)}
	}
	return err
}
