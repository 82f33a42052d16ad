package source

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// Revision resolves what a person calls a revision: a branch, a tag, a whole
// or abbreviated commit, or a full ref name. Empty and HEAD mean the default
// branch; a branch wins over a tag of the same name. Revision.Branch is set
// when a branch was named. The error is of kind ErrNoRepository, ErrNoRevision
// or ErrInvalid when it is the caller's.
func (r *Repositories) Revision(ctx context.Context, name, ref string) (pipeline.Revision, error) {
	if err := r.require(name); err != nil {
		return pipeline.Revision{}, err
	}
	if ref == "" || ref == "HEAD" {
		branch, err := r.HeadBranch(ctx, name)
		if err != nil {
			return pipeline.Revision{}, err
		}
		ref = "refs/heads/" + branch
	}
	if err := checkRef(ref); err != nil {
		return pipeline.Revision{}, err
	}
	for _, c := range candidates(ref) {
		commit, err := r.commit(ctx, name, c.rev)
		if err != nil {
			return pipeline.Revision{}, fmt.Errorf("resolve %s of repository %s: %w", ref, name, err)
		}
		if commit != "" {
			return r.describe(ctx, name, commit, c.branch)
		}
	}
	return pipeline.Revision{}, noRevision(name, ref)
}

func noRevision(name, ref string) error {
	return &Error{Kind: ErrNoRevision, Message: fmt.Sprintf("repository %s has no revision %q", name, ref),
		Hint: "push it, or name a branch, a tag or a commit that is there"}
}

// candidate is one reading of a ref.
type candidate struct{ rev, branch string }

// candidates are the readings of a ref that passed checkRef, likeliest first.
func candidates(ref string) []candidate {
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return []candidate{{ref, branch}}
	}
	if strings.HasPrefix(ref, "refs/") || isHash(ref) {
		return []candidate{{rev: ref}}
	}
	readings := []candidate{{"refs/heads/" + ref, ref}, {rev: "refs/tags/" + ref}}
	if len(ref) >= 4 && len(ref) < 64 && isHex(ref) {
		readings = append(readings, candidate{rev: ref})
	}
	return readings
}

// commit returns the commit that rev names, or "" when it names none.
func (r *Repositories) commit(ctx context.Context, name, rev string) (string, error) {
	out, err := r.output(ctx, command{name: name, args: []string{"rev-parse", "--verify", "--quiet", "--end-of-options", rev + "^{commit}"}})
	if exit(err) == 1 || exit(err) == 128 && strings.Contains(err.Error(), "xpected commit type") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// describe reads the subject, author and time of a commit that exists.
func (r *Repositories) describe(ctx context.Context, name, commit, branch string) (pipeline.Revision, error) {
	out, err := r.output(ctx, command{name: name, args: []string{
		"log", "-1", "--no-show-signature", "--no-notes", "--encoding=UTF-8", "--format=%an%x00%at%x00%s", commit,
	}})
	if err != nil {
		return pipeline.Revision{}, fmt.Errorf("read commit %s of repository %s: %w", commit, name, err)
	}
	author, rest, _ := strings.Cut(string(out), "\x00")
	seconds, subject, _ := strings.Cut(rest, "\x00")
	return pipeline.Revision{
		Repository: name,
		Branch:     branch,
		Commit:     commit,
		Message:    clean(subject),
		Author:     clean(author),
		Time:       authorTime(seconds),
	}, nil
}

// authorTime reads a Unix time that the author's clock, or the author, chose.
// What JSON and SQL cannot write, beyond the year 9999, becomes the last second
// that they can.
func authorTime(seconds string) time.Time {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n > last.Unix() {
		return last
	}
	return time.Unix(max(n, 0), 0).UTC()
}
