package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// MaxChanges is how many paths Changes tells at most.
const MaxChanges = 10_000

// Changes are the files that differ between two commits.
type Changes struct {
	Paths []string // slash-separated, in git's order; a renamed file is there with both names
	// Complete is false when there are more. A filter had better match then.
	Complete bool
}

const changesTimeout = 2 * time.Minute

// Changes lists the files whose content or mode differ between two commits,
// both whole. With older empty, as for a branch that is new, it lists what
// newer adds to the default branch, or all of its files if the two have nothing
// in common. With newer empty, as for a branch that is gone, there are none.
// The error is of kind ErrNoRepository, ErrNoRevision or ErrInvalid when it is
// the caller's; older is missing when a mirror's remote has forgotten it.
func (r *Repositories) Changes(ctx context.Context, name, older, newer string) (Changes, error) {
	if newer == "" {
		return Changes{Complete: true}, r.require(name)
	}
	if err := r.requireCommit(ctx, name, newer); err != nil {
		return Changes{}, err
	}
	fail := func(err error) (Changes, error) {
		return Changes{}, fmt.Errorf("list changes to %.7s of repository %s: %w", newer, name, err)
	}
	var err error
	if older != "" {
		err = r.requireCommit(ctx, name, older)
	} else if older, err = r.baseOfNew(ctx, name, newer); err != nil {
		return fail(err)
	}
	if err != nil {
		return Changes{}, err
	}
	args := []string{"diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", older, newer}
	if older == "" {
		args = []string{"ls-tree", "-r", "-z", "--name-only", "--full-tree", newer}
	}
	found, err := r.paths(ctx, command{name: name, args: args, timeout: changesTimeout})
	if err != nil {
		return fail(err)
	}
	return found, nil
}

// baseOfNew is the newest commit that newer and the default branch have in
// common, or empty if there is none.
func (r *Repositories) baseOfNew(ctx context.Context, name, newer string) (string, error) {
	branch, err := r.HeadBranch(ctx, name)
	if err != nil {
		return "", err
	}
	main, err := r.commit(ctx, name, "refs/heads/"+branch)
	if err != nil || main == "" {
		return "", err
	}
	return r.MergeBase(ctx, name, main, newer)
}

// MergeBase returns the newest commit that two commits, both whole, have in
// common, or empty if they have none. What a pull request changes is Changes
// from there, and not from the branch that it is to be merged into, which has
// gone on meanwhile.
func (r *Repositories) MergeBase(ctx context.Context, name, one, other string) (string, error) {
	for _, commit := range []string{one, other} {
		if err := r.requireCommit(ctx, name, commit); err != nil {
			return "", err
		}
	}
	out, err := r.output(ctx, command{name: name, args: []string{"merge-base", one, other}})
	if exit(err) == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("compare commits of repository %s: %w", name, err)
	}
	base, _, _ := strings.Cut(string(out), "\n")
	return base, nil
}

var errEnough = errors.New("enough has been read")

// paths runs git and reads the paths that it prints, each ended by a zero byte,
// until there are MaxChanges.
func (r *Repositories) paths(ctx context.Context, c command) (Changes, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, in := io.Pipe()
	c.stdout = in
	done := make(chan error, 1)
	go func() {
		err := r.run(ctx, c)
		in.CloseWithError(err)
		done <- err
	}()
	found := Changes{Complete: true}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 4<<10), 64<<10)
	lines.Split(splitNull)
	for lines.Scan() {
		if len(found.Paths) == MaxChanges {
			found.Complete = false
			cancel(errEnough)
			out.CloseWithError(errEnough)
			<-done //nolint:errcheck // it says only that its reader left
			return found, nil
		}
		found.Paths = append(found.Paths, lines.Text())
	}
	if err := lines.Err(); err != nil {
		cancel(err)
		out.CloseWithError(err)
		<-done //nolint:errcheck // the reader's error is the cause
		return Changes{}, err
	}
	return found, <-done
}
