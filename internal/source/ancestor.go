package source

import (
	"context"
	"fmt"
)

// IsAncestor says whether newer contains older, which a commit does of itself.
// Ancestry, not time, orders commits: clocks lie and branches are merged late.
// Both are whole commits; the error is of kind ErrNoRevision if one is missing.
func (r *Repositories) IsAncestor(ctx context.Context, name, older, newer string) (bool, error) {
	for _, commit := range []string{older, newer} {
		if err := r.requireCommit(ctx, name, commit); err != nil {
			return false, err
		}
	}
	err := r.run(ctx, command{name: name, args: []string{"merge-base", "--is-ancestor", older, newer}})
	if exit(err) == 1 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare commits of repository %s: %w", name, err)
	}
	return true, nil
}

// requireCommit returns an error of kind ErrNoRepository, ErrInvalid or
// ErrNoRevision unless commit is a whole hash of a commit in the repository.
func (r *Repositories) requireCommit(ctx context.Context, name, commit string) error {
	if err := r.require(name); err != nil {
		return err
	}
	if !isHash(commit) {
		return &Error{Kind: ErrInvalid, Message: fmt.Sprintf("%.80q is not a commit", commit), Hint: "give all of its 40 or 64 hexadecimal digits"}
	}
	found, err := r.commit(ctx, name, commit)
	if err != nil {
		return fmt.Errorf("find commit %s of repository %s: %w", commit, name, err)
	}
	if found != commit {
		return noRevision(name, commit)
	}
	return nil
}
