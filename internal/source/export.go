package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Tree says what Export has written, and what it has not.
type Tree struct {
	Files int
	Bytes int64 // of the files as git stores them
	// LeftOut are the symbolic links that were not kept because they lead out
	// of the tree, each as "path -> target".
	LeftOut []string
	// Submodules are the paths that name a commit of another repository. Each
	// is an empty directory.
	Submodules []string
}

// Export writes the tree of a commit, without .git, into dir, which is made
// and must be empty. The error is of kind ErrNoRepository, ErrNoRevision,
// ErrInvalid or ErrTooLarge when it is the caller's or the commit's.
//
// It is a checkout, by git read-tree -u with an index of its own, and not a git
// archive: an archive obeys export-ignore and export-subst, so that tests and
// build files which a project keeps out of its release tarballs would be
// missing from its builds. AWS CodeBuild checks out as well. Attributes of line
// ends and encoding are obeyed; filters are not run, as none is configured.
func (r *Repositories) Export(ctx context.Context, name, commit, dir string) (Tree, error) {
	if err := r.requireCommit(ctx, name, commit); err != nil {
		return Tree{}, err
	}
	fail := func(err error) (Tree, error) {
		return Tree{}, fmt.Errorf("export %.7s of repository %s: %w", commit, name, err)
	}
	scan, err := r.scan(ctx, name, commit)
	if err != nil {
		return fail(err)
	}
	dir, err = emptyDir(dir)
	if err != nil {
		return fail(err)
	}
	index, err := os.MkdirTemp(r.dir, scratch)
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(index)
	err = r.run(ctx, command{
		name:    name,
		args:    []string{"--work-tree=" + dir, "read-tree", "--reset", "-u", commit},
		env:     []string{"GIT_INDEX_FILE=" + filepath.Join(index, "index")},
		timeout: exportTimeout,
	})
	if err != nil {
		return fail(err)
	}
	scan.tree.LeftOut, err = removeEscapes(dir, scan.links)
	if err != nil {
		return fail(err)
	}
	return scan.tree, nil
}

const exportTimeout = 15 * time.Minute

// emptyDir makes the directory if it is missing and returns its absolute path.
func emptyDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty", dir)
	}
	return filepath.Abs(dir)
}

// scan is what a commit's tree holds, known before a byte of it is written.
type scan struct {
	tree  Tree
	links []string
}

// scan lists the tree of a commit within the limits.
func (r *Repositories) scan(ctx context.Context, name, commit string) (scan, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := r.run(ctx, command{name: name, args: []string{"ls-tree", "-r", "-l", "-z", "--full-tree", commit}, stdout: in, timeout: exportTimeout})
		in.CloseWithError(err)
		done <- err
	}()
	s, err := r.readScan(out)
	if err != nil {
		cancel(err)
		out.CloseWithError(err)
		<-done //nolint:errcheck // it says only that its reader left
		return scan{}, err
	}
	return s, <-done
}

// readScan reads what git ls-tree -r -l -z says: "MODE TYPE HASH SIZE\tPATH\0".
func (r *Repositories) readScan(in io.Reader) (scan, error) {
	var s scan
	entries := bufio.NewScanner(in)
	entries.Buffer(make([]byte, 0, 4<<10), 64<<10)
	entries.Split(splitNull)
	for entries.Scan() {
		meta, name, _ := strings.Cut(entries.Text(), "\t")
		fields := strings.Fields(meta)
		if len(fields) != 4 {
			return scan{}, fmt.Errorf("list files: git says %.200q", entries.Text())
		}
		s.tree.Files++
		switch fields[0] {
		case "160000":
			s.tree.Submodules = append(s.tree.Submodules, name)
			continue
		case "120000":
			s.links = append(s.links, name)
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return scan{}, fmt.Errorf("list files: size of %q: %w", name, err)
		}
		s.tree.Bytes += size
		if s.tree.Files > r.cfg.MaxFiles || s.tree.Bytes > r.cfg.MaxTree {
			return scan{}, &Error{Kind: ErrTooLarge,
				Message: fmt.Sprintf("the commit holds more than %d files or %d bytes", r.cfg.MaxFiles, r.cfg.MaxTree),
				Hint:    "keep large or generated files out of the repository"}
		}
	}
	return s, entries.Err()
}

// splitNull splits at zero bytes, which no path contains.
func splitNull(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// removeEscapes removes those of the symbolic links that lead out of dir, by
// their text or through other links, and returns them. git has written them
// as they are in the commit; a later step that copies or packs the tree must
// not come to read the server's files through one.
func removeEscapes(dir string, links []string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	type escape struct{ link, target string }
	var escapes []escape
	for _, link := range links {
		target, err := root.Readlink(link)
		if err != nil {
			return nil, err
		}
		if !staysInside(root, link, target) {
			escapes = append(escapes, escape{link, target})
		}
	}
	// Only now, so that each was judged with all others in place.
	var removed []string
	for _, e := range escapes {
		if err := root.Remove(e.link); err != nil {
			return nil, err
		}
		removed = append(removed, e.link+" -> "+e.target)
	}
	return removed, nil
}

// staysInside says whether a link leads to somewhere in root, be it to nothing
// yet: a build may make the file that a link names.
func staysInside(root *os.Root, link, target string) bool {
	if path.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(link), target))) {
		return false
	}
	_, err := root.Stat(link)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
