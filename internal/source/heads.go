package source

import (
	"context"
	"fmt"
	"strings"
)

// Heads returns the commit of each branch. It is the truth about what has been
// pushed: whoever compares it with what was seen last, at start and now and
// then, misses no push, whatever became of the hook.
func (r *Repositories) Heads(ctx context.Context, name string) (map[string]string, error) {
	if err := r.require(name); err != nil {
		return nil, err
	}
	out, err := r.output(ctx, command{name: name, args: []string{"for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/"}})
	if err != nil {
		return nil, fmt.Errorf("list branches of repository %s: %w", name, err)
	}
	heads := map[string]string{}
	for line := range strings.Lines(string(out)) {
		commit, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if branch, ok := (Update{Ref: ref}).Branch(); ok {
			heads[branch] = commit
		}
	}
	return heads, nil
}

// HeadBranch returns the repository's default branch, which may have no commit
// yet.
func (r *Repositories) HeadBranch(ctx context.Context, name string) (string, error) {
	if err := r.require(name); err != nil {
		return "", err
	}
	out, err := r.output(ctx, command{name: name, args: []string{"symbolic-ref", "HEAD"}})
	if err != nil {
		return "", fmt.Errorf("read default branch of repository %s: %w", name, err)
	}
	branch, ok := (Update{Ref: strings.TrimSpace(string(out))}).Branch()
	if !ok {
		return "", fmt.Errorf("read default branch of repository %s: HEAD names %.100q", name, out)
	}
	return branch, nil
}
