package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// shelf is where a build finds its source, the directory, and where its
// artifacts are kept while it runs.
type shelf struct {
	source tree
	// made is nil where nobody asks for the artifacts: they are only counted.
	made *artifact.Store
}

var _ build.Artifacts = shelf{}

// newShelf makes a shelf in the build's place. The builds of a batch find there
// what the others have made.
func (b Build) newShelf(ctx context.Context, in place) (shelf, error) {
	s := shelf{source: tree{b.Dir}}
	if b.Out == "" && b.Config.Batch == nil {
		return s, nil
	}
	var err error
	s.made, err = artifact.Open(ctx, filepath.Join(in.dir, "artifacts"))
	return s, err
}

func (s shelf) close() error {
	if s.made == nil {
		return nil
	}
	return s.made.Close()
}

// Unpack writes an artifact, or the source, which has no digest.
func (s shelf) Unpack(ctx context.Context, digest, dir string) error {
	if digest == "" {
		return s.source.unpack(ctx, dir)
	}
	return s.made.Unpack(ctx, digest, dir)
}

// Pack keeps files. Where they are only counted they get no digest.
func (s shelf) Pack(ctx context.Context, dir string, files []string) (digest string, size int64, err error) {
	if s.made == nil {
		size, err = count(ctx, dir, files)
		return "", size, err
	}
	return s.made.Pack(ctx, dir, files)
}

// count is how large files are.
func count(ctx context.Context, dir string, files []string) (size int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	for _, name := range files {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		info, err := root.Lstat(name)
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}

// Directory is where the files of an artifact go, of all those that the build
// has made: of a single one to Out itself, of several each to a directory of its
// name there, so that none takes the place of another's files.
func (b Build) Directory(of []pipeline.Artifact, name string) string {
	if len(of) < 2 {
		return b.Out
	}
	if name == "." || name == ".." {
		name = "_" + name
	}
	return filepath.Join(b.Out, url.PathEscape(name))
}

// handOut copies the files of the artifacts to where they are asked for. Files
// of an earlier build give way to those of the same path.
func (b Build) handOut(ctx context.Context, s shelf, in place, made []pipeline.Artifact) error {
	if b.Out == "" {
		return nil
	}
	for i, one := range made {
		unpacked := filepath.Join(in.dir, fmt.Sprintf("out%d", i))
		if err := s.made.Unpack(ctx, one.Digest, unpacked); err != nil {
			return err
		}
		to := b.Directory(made, one.Name)
		if err := replace(ctx, unpacked, to); err != nil {
			return fmt.Errorf("copy artifact %s to %s: %w", one.Name, to, err)
		}
		if err := os.RemoveAll(unpacked); err != nil { // the disk may be small
			return err
		}
	}
	return nil
}

// replace copies all files and links of a directory into another one.
func replace(ctx context.Context, dir, into string) error {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.IsDir():
			return nil
		}
		target := filepath.Join(into, filepath.FromSlash(name))
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return inTheWay(err, target)
		}
		return transfer(from, name, target)
	})
}

// inTheWay says what to do about a directory that has the name of a file.
func inTheWay(err error, target string) error {
	if info, stat := os.Lstat(target); stat == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory of an earlier build or of yours: remove it, or choose another directory with --artifacts", strings.TrimSuffix(target, "/"))
	}
	return fmt.Errorf("replace %s: %w", target, err)
}
