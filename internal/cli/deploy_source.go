package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/pipeline"
)

// maxStdin is how much is read from standard input, in bytes.
const maxStdin = 8 << 20

// deploySource is the directory that manifests and charts are read from.
type deploySource struct {
	root   string
	name   string // of the application, when nobody names it
	commit string // empty outside of a repository
	clean  func()
}

// source finds the root of what is deployed, and makes the paths of the flags
// relative to it: the repository that they are in; else this directory, when
// they are below it; else the directory that has them.
func (f *deployFlags) source(ctx context.Context, settings *pipeline.Deploy, in io.Reader) (deploySource, error) {
	if f.manifests != "" && f.chart != "" {
		return deploySource{}, usageError{errors.New("-f and --chart exclude each other: manifests or a chart are deployed, not both")}
	}
	if err := f.helm(settings); err != nil {
		return deploySource{}, err
	}
	here, err := os.Getwd()
	if err != nil {
		return deploySource{}, err
	}
	if f.manifests == "-" {
		return f.stdin(settings, here, in)
	}
	if f.manifests == "" && settings.Manifests == "" && settings.Helm == nil {
		f.manifests = "k8s" // of this directory, wherever in a repository it is
	}
	place := here
	for _, path := range []string{f.manifests, f.chart} {
		if path == "" {
			continue
		}
		if place, err = filepath.Abs(path); err != nil {
			return deploySource{}, err
		}
		if place, err = filepath.EvalSymlinks(place); err != nil {
			return deploySource{}, fmt.Errorf("find what to deploy: %w; name it with -f or --chart", err)
		}
	}
	s := deploySource{name: filepath.Base(here), clean: func() {}}
	if s.root, s.commit = repository(ctx, place); s.root != "" {
		s.name = filepath.Base(s.root)
		if s.commit != "" && changed(ctx, s.root, place) {
			f.notes = append(f.notes, fmt.Sprintf("note: %s has changes that are not in commit %s, by which the revision will be known", place, shorten(s.commit, 7)))
		}
	} else if s.root = here; !inside(here, place) {
		s.root = filepath.Dir(place)
	}
	return s, f.relative(settings, s.root)
}

// relative writes the paths of the flags as the settings have them.
func (f *deployFlags) relative(settings *pipeline.Deploy, root string) error {
	below := func(path string) (string, error) {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if absolute, err = filepath.EvalSymlinks(absolute); err != nil {
			return "", err
		}
		if !inside(root, absolute) {
			return "", fmt.Errorf("%s is not below %s, where the rest is: keep both in one directory or repository", path, root)
		}
		return filepath.Rel(root, absolute)
	}
	var err error
	if f.manifests != "" {
		if settings.Manifests, err = below(f.manifests); err != nil {
			return err
		}
	}
	if f.chart != "" {
		if settings.Helm.Chart, err = below(f.chart); err != nil {
			return err
		}
	}
	for _, file := range f.values {
		path, err := below(file)
		if err != nil {
			return err
		}
		settings.Helm.Values = append(settings.Helm.Values, path)
	}
	return nil
}

// stdin writes standard input to a directory of its own.
func (f *deployFlags) stdin(settings *pipeline.Deploy, here string, in io.Reader) (deploySource, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxStdin+1))
	if err != nil {
		return deploySource{}, fmt.Errorf("read standard input: %w", err)
	}
	if len(text) > maxStdin {
		return deploySource{}, fmt.Errorf("standard input has more than %d MiB: deploy it in parts", maxStdin>>20)
	}
	dir, err := os.MkdirTemp("", "towline-deploy-")
	if err != nil {
		return deploySource{}, err
	}
	s := deploySource{root: dir, name: filepath.Base(here), clean: func() { _ = os.RemoveAll(dir) }}
	if err := os.WriteFile(filepath.Join(dir, "stdin.yaml"), text, 0o600); err != nil {
		s.clean()
		return deploySource{}, err
	}
	settings.Manifests = "stdin.yaml"
	return s, nil
}

func inside(root, path string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// repository is the git repository that a file or directory is in, and the
// commit that is checked out; both empty when there is none.
func repository(ctx context.Context, place string) (root, commit string) {
	dir := place
	if info, err := os.Stat(place); err != nil || !info.IsDir() {
		dir = filepath.Dir(place)
	}
	root, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", ""
	}
	if commit, err = git(ctx, root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err != nil {
		return root, ""
	}
	return root, commit
}

// changed tells whether a path differs from the commit that is checked out.
func changed(ctx context.Context, root, path string) bool {
	out, err := git(ctx, root, "status", "--porcelain", "--", path)
	return err == nil && out != ""
}

// git runs git, which asks nobody and starts no monitor of the repository's.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false", "-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

var wholeCommit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// ancestry compares commits of the repository, nil when there is none.
func (s deploySource) ancestry() deploy.Ancestry {
	if s.commit == "" {
		return nil
	}
	return func(ctx context.Context, older, newer string) (known, ancestor bool, err error) {
		for _, commit := range []string{older, newer} {
			if !wholeCommit.MatchString(commit) {
				return false, false, nil
			}
			if _, err := git(ctx, s.root, "cat-file", "-e", commit+"^{commit}"); err != nil {
				return false, false, ctx.Err()
			}
		}
		_, err = git(ctx, s.root, "merge-base", "--is-ancestor", older, newer)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
			return true, false, nil
		}
		return true, err == nil, err
	}
}
