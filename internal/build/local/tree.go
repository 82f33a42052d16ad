package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is a directory that is built.
type tree struct{ dir string }

// unpack copies the files: those that git would commit where it is a working
// tree, so that a build finds here what it finds on the server.
func (t tree) unpack(ctx context.Context, dir string) error {
	names, err := t.files(ctx)
	if err != nil {
		return err
	}
	from, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer from.Close()
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := transfer(from, name, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

// files are the files and links of the tree, by their paths below it.
func (t tree) files(ctx context.Context) ([]string, error) {
	if names, ok := t.committed(ctx); ok {
		return names, nil
	}
	var names []string
	err := filepath.WalkDir(t.dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git" && name != t.dir:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		name, err = filepath.Rel(t.dir, name)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", t.dir, err)
	}
	return names, nil
}

// committed asks git for what is in its index or would be added to it; ok is
// false where there is no git or no working tree.
func (t tree) committed(ctx context.Context) (names []string, ok bool) {
	list, err := exec.CommandContext(ctx, "git", "-C", t.dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, false
	}
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name == "" {
			continue
		}
		// What is deleted and still in the index is not there; a directory is a
		// repository within this one.
		if info, err := os.Lstat(filepath.Join(t.dir, name)); err == nil && !info.IsDir() {
			names = append(names, name)
		}
	}
	return names, len(names) > 0
}

// transfer copies a file or a link to a path that is not there yet.
func transfer(from *os.Root, name, to string) error {
	info, err := from.Lstat(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		target, err := from.Readlink(name)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case 0:
	default:
		return errors.New("it is neither a file nor a link")
	}
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
