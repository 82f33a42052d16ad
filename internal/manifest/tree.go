package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// tree is the source as far as manifests may read it: regular files, below
// the root whatever symbolic links say, and not without end. Names are
// slash-separated and relative.
type tree struct {
	root *os.Root
	left int64 // bytes that may still be read
	kept map[string][]byte
}

func openTree(root string) (*tree, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	return &tree{root: r, left: maxTotal, kept: map[string][]byte{}}, nil
}

func (t *tree) close() {
	_ = t.root.Close() // it was only read
}

// stat follows symbolic links. A link that leads out of the tree, or in a
// circle, is the user's to mend.
func (t *tree) stat(name string) (fs.FileInfo, error) {
	info, err := t.root.Stat(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return info, err
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && !errors.Is(err, fs.ErrPermission) {
		return nil, &Error{Source: Source{File: name}, Message: "cannot be read: " + pathErr.Err.Error(), Hint: "manifests are read below the root of the source only"}
	}
	return nil, fmt.Errorf("read %s: %w", name, err)
}

func (t *tree) isDir(name string) bool {
	info, err := t.stat(name)
	return err == nil && info.IsDir()
}

// read reads a file, once however often it is asked for.
func (t *tree) read(name string) ([]byte, error) {
	if text, ok := t.kept[name]; ok {
		return text, nil
	}
	if _, err := t.stat(name); err != nil {
		return nil, err
	}
	// Without O_NONBLOCK, opening a named pipe waits for a writer.
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Source: Source{File: name}, Message: "is no regular file"}
	}
	limit := min(maxFile, t.left)
	if info.Size() > limit {
		return nil, tooLarge(name)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(text)) > limit {
		return nil, tooLarge(name)
	}
	t.left -= int64(len(text))
	t.kept[name] = text
	return text, nil
}

func tooLarge(name string) error {
	return &Error{Source: Source{File: name}, Message: fmt.Sprintf("is too large: a file may have %d MiB, all together %d MiB", maxFile>>20, maxTotal>>20)}
}

// list are the names in a directory, sorted.
func (t *tree) list(dir string) ([]string, error) {
	f, err := t.root.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	for _, n := range names {
		if strings.ContainsFunc(n, func(r rune) bool { return r < ' ' }) {
			return nil, &Error{Source: Source{File: dir}, Message: fmt.Sprintf("has a file whose name has control characters, %q", n)}
		}
	}
	slices.Sort(names)
	return names, nil
}
