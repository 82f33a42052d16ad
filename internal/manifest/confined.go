package manifest

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// confined shows a tree to Kustomize as a file system whose root "/" is the
// root of the source. It cannot be written to.
type confined struct {
	tree *tree
	// replaced are files that are shown with another content.
	replaced map[string][]byte
}

var _ filesys.FileSystem = confined{}

var errReadOnly = errors.New("the source is read only")

// inTree is the name in the tree of a path that Kustomize uses.
func inTree(p string) string {
	return strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(p)), "/")
}

func treeName(p string) string {
	if n := inTree(p); n != "" {
		return n
	}
	return "."
}

// IsDir reports whether p is a directory of the tree.
func (c confined) IsDir(p string) bool { return c.tree.isDir(treeName(p)) }

// Exists reports whether p is in the tree.
func (c confined) Exists(p string) bool {
	_, err := c.tree.stat(treeName(p))
	return err == nil
}

// CleanedAbs splits p into its directory and its file.
func (c confined) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	abs := "/" + inTree(p)
	if _, err := c.tree.stat(treeName(p)); err != nil {
		return "", "", err
	}
	if c.IsDir(p) {
		return filesys.ConfirmedDir(abs), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(abs)), path.Base(abs), nil
}

// ReadFile reads a regular file.
func (c confined) ReadFile(p string) ([]byte, error) {
	if text, ok := c.replaced[treeName(p)]; ok {
		return text, nil
	}
	return c.tree.read(treeName(p))
}

// ReadDir lists a directory.
func (c confined) ReadDir(p string) ([]string, error) { return c.tree.list(treeName(p)) }

// Glob finds the files of the last directory of pattern that match; Kustomize
// uses it no further.
func (c confined) Glob(pattern string) ([]string, error) {
	found, err := fs.Glob(c.tree.root.FS(), treeName(pattern))
	for i := range found {
		found[i] = "/" + found[i]
	}
	return filesys.RemoveHiddenFiles(found), err
}

// Walk visits what is below p.
func (c confined) Walk(p string, visit filepath.WalkFunc) error {
	return fs.WalkDir(c.tree.root.FS(), treeName(p), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return visit("/"+name, nil, err)
		}
		info, err := entry.Info()
		return visit("/"+name, info, err)
	})
}

// Open opens a file for reading.
func (c confined) Open(p string) (filesys.File, error) {
	text, err := c.ReadFile(p)
	if err != nil {
		return nil, err
	}
	info, err := c.tree.stat(treeName(p))
	if err != nil {
		return nil, err
	}
	return &readFile{Reader: strings.NewReader(string(text)), info: info}, nil
}

// Create is refused, as are the other ways of writing.
func (confined) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (confined) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (confined) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (confined) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (confined) WriteFile(string, []byte) error { return errReadOnly }

type readFile struct {
	io.Reader
	info fs.FileInfo
}

// Close does nothing: the file was read whole.
func (*readFile) Close() error { return nil }

// Write is refused.
func (*readFile) Write([]byte) (int, error) { return 0, errReadOnly }

// Stat is of the file in the tree.
func (f *readFile) Stat() (fs.FileInfo, error) { return f.info, nil }
