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

// Tags returns the commit of each tag that names one, as Heads does for
// branches. A tag of a tag may be missing, where git is older than 2.45.
func (r *Repositories) Tags(ctx context.Context, name string) (map[string]string, error) {
	if err := r.require(name); err != nil {
		return nil, err
	}
	// What follows the asterisk is of the object that a tag of its own names.
	out, err := r.output(ctx, command{name: name, args: []string{
		"for-each-ref", "--format=%(objecttype)%(*objecttype) %(*objectname) %(objectname) %(refname)", "refs/tags/",
	}})
	if err != nil {
		return nil, fmt.Errorf("list tags of repository %s: %w", name, err)
	}
	return parseTags(string(out)), nil
}

// parseTags reads lines of a tag's kind, what it names, what it is, and its ref:
// "commit  HASH REF" of a plain tag, "tagcommit TAG COMMIT REF" of an annotated
// one.
func parseTags(out string) map[string]string {
	tags := map[string]string{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(fields) != 4 {
			continue
		}
		tag, ok := (Update{Ref: fields[3]}).Tag()
		switch {
		case !ok:
		case fields[0] == "commit":
			tags[tag] = fields[2]
		case fields[0] == "tagcommit":
			tags[tag] = fields[1]
		}
	}
	return tags
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
