package build

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/artifact"
)

// gatherDir begins the names of the directories in Job.Dir where files are
// gathered that do not lie as the artifact will have them.
const gatherDir = "artifact"

// packing is the making of one artifact.
type packing struct {
	trees trees
	job   string // Job.Dir
	dir   string // below job, for what is gathered
	what  string // for messages
	log   io.Writer
	flat  bool // discard-paths
}

// inside leaves out links that lead out of their tree, or, as links, out of the
// artifact: nobody could unpack them.
func (g packing) inside(files []file, symlinks bool) []file {
	var kept []file
	for _, f := range files {
		if !f.link {
			kept = append(kept, f)
			continue
		}
		if why := f.leads(symlinks); why != "" {
			fmt.Fprintf(g.log, "warning: %s: %s is left out: %s\n", g.what, f.name, why)
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// leads says why a link cannot be part of an artifact, "" when it can.
func (f file) leads(symlinks bool) string {
	if !symlinks {
		if _, err := f.root.Stat(f.path); err == nil {
			return ""
		}
	}
	to, err := f.root.Readlink(f.path)
	switch {
	case err != nil:
		return "it is reached through a link, and is not there any more"
	case path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(f.name), to)):
		return "the link leads out of the artifact, to " + to
	case !symlinks:
		return "the link leads nowhere, to " + to
	}
	return ""
}

// gather returns a directory and the names of an artifact's files in it: the
// base itself when they lie there as they are wanted, else one to which they
// are linked, or copied when a link leads to them.
func (g packing) gather(files []file, symlinks bool) (dir string, names []string, err error) {
	if dir, names, ok := asTheyAre(files, g.flat, symlinks); ok {
		return dir, names, nil
	}
	job, err := os.OpenRoot(g.job)
	if err != nil {
		return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
	}
	defer job.Close()
	if err := errors.Join(job.RemoveAll(g.dir), job.Mkdir(g.dir, 0o700)); err != nil {
		return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
	}
	from := map[string]string{}
	for _, f := range files {
		name := f.name
		if g.flat {
			name = path.Base(name)
		}
		other, twice := from[name]
		if twice {
			fmt.Fprintf(g.log, "warning: %s: %s and %s have the same name in the artifact, %s; the second is taken\n", g.what, other, f.path, name)
			if err := job.Remove(path.Join(g.dir, name)); err != nil {
				return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
			}
		}
		from[name] = f.path
		if err := g.put(job, f, path.Join(g.dir, name), symlinks); err != nil {
			return "", nil, fmt.Errorf("gather the artifact's files: %w", err)
		}
		if !twice {
			names = append(names, name)
		}
	}
	return filepath.Join(g.job, g.dir), names, nil
}

// asTheyAre tells whether files can be packed where they lie. Opened as a path
// below a root that was checked: no process of the build lives any more that
// could change it.
func asTheyAre(files []file, flat, symlinks bool) (dir string, names []string, ok bool) {
	if flat {
		return "", nil, false
	}
	base := baseOf(files[0])
	for _, f := range files {
		if f.link && !symlinks || baseOf(f) != base {
			return "", nil, false
		}
		names = append(names, f.name)
	}
	return filepath.Join(files[0].root.Name(), filepath.FromSlash(base)), names, true
}

func baseOf(f file) string { return path.Clean(strings.TrimSuffix(f.path, f.name)) }

// put makes a file of the artifact. The links of the file system cost nothing;
// where it refuses one, the file is copied.
func (g packing) put(job *os.Root, f file, to string, symlinks bool) error {
	if err := job.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	if f.link && symlinks {
		target, err := f.root.Readlink(f.path)
		if err != nil {
			return err
		}
		return job.Symlink(target, to)
	}
	if !f.link {
		if below, err := filepath.Rel(g.job, filepath.Join(f.root.Name(), f.path)); err == nil && job.Link(below, to) == nil {
			return nil
		}
	}
	return copyOut(f, job, to)
}

func copyOut(f file, job *os.Root, to string) error {
	in, _, err := artifact.OpenRegular(f.root, f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := job.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
