package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// layoutRef is an OCI layout directory as the configuration names it.
type layoutRef struct {
	key  string // what names it, as errors say it: "base", or "bases: jre:17"
	path string // what follows oci:
}

func (r layoutRef) String() string { return layoutPrefix + r.path }

// refuse says that something is wrong with the layout.
func (r layoutRef) refuse(format string, args ...any) error {
	return refuse("%s: %s %s", r.key, r, fmt.Sprintf(format, args...))
}

// layoutBases takes images from an OCI layout directory.
func (m *making) layoutBases(ref layoutRef) ([]base, error) {
	dir, inside, err := m.layoutDir(ref)
	if err != nil {
		return nil, err
	}
	idx, err := openLayout(ref, dir)
	if err != nil {
		return nil, err
	}
	check := func(d v1.Descriptor) error { return checkBlob(layout.Path(dir), d) }
	return m.each(func(p v1.Platform) (base, error) {
		img, digest, err := choose(idx, p, check)
		if err != nil {
			return base{}, m.explainChoice(err)
		}
		return base{image: img, digest: digest, dir: inside}, nil
	})
}

// openLayout reads the index of an OCI layout directory.
func openLayout(ref layoutRef, dir string) (v1.ImageIndex, error) {
	// It is read into memory whole.
	if info, err := os.Stat(filepath.Join(dir, "index.json")); err == nil && info.Size() > blobLimit {
		return nil, ref.refuse("cannot be read: its index.json is too large; make the OCI layout anew")
	}
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, ref.refuse("is not an OCI layout directory, for its index.json cannot be read: %v", errors.Unwrap(err))
	}
	return idx, nil
}

// layoutDir is the directory that oci:PATH means: inside the artifact when
// PATH is relative, on this machine when it is absolute. Links are followed
// before the place is judged.
func (m *making) layoutDir(ref layoutRef) (dir, inside string, err error) {
	if !filepath.IsAbs(ref.path) {
		if !filepath.IsLocal(ref.path) {
			return "", "", ref.refuse("leads out of the artifact")
		}
		if filepath.Clean(ref.path) == "." {
			return "", "", ref.refuse("is the whole artifact, which would leave no files for the image; put the layout into a directory of its own")
		}
		dir, ok := below(m.files, filepath.Join(m.files, ref.path))
		if !ok {
			return "", "", refuse("%s: the artifact has no directory %s; add the OCI layout to the artifacts of the build before", ref.key, ref.path)
		}
		inside, err := filepath.Rel(m.files, filepath.Join(m.files, ref.path))
		return dir, inside, err
	}
	for _, allowed := range m.action.BaseDirs {
		if dir, ok := below(allowed, ref.path); ok {
			return dir, "", nil
		}
	}
	if len(m.action.BaseDirs) == 0 {
		return "", "", ref.refuse("is on the server's own disk, and this server takes no bases from there; put it into the artifact and write a relative path")
	}
	return "", "", ref.refuse("is not in a directory that this server takes bases from (%s); move it there, or put it into the artifact and write a relative path",
		strings.Join(m.action.BaseDirs, ", "))
}

// below returns the directory with its links followed, if it is within the
// other.
func below(within, dir string) (string, bool) {
	within, err := filepath.EvalSymlinks(within)
	if err != nil {
		return "", false
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(within, dir)
	info, statErr := os.Stat(dir)
	return dir, err == nil && filepath.IsLocal(rel) && statErr == nil && info.IsDir()
}

// blobLimit is the most that an index, a manifest or a configuration may have,
// in bytes: they are read into memory.
const blobLimit = 8 << 20

// checkBlob compares a small blob of a layout with its digest. Nothing else
// does, and the layout may come out of somebody's build.
func checkBlob(p layout.Path, d v1.Descriptor) error {
	r, err := p.Blob(d.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, blobLimit+1))
	if err != nil {
		return err
	}
	if len(body) > blobLimit {
		return fmt.Errorf("blob %s is too large for a manifest or configuration", d.Digest)
	}
	got, _, err := v1.SHA256(bytes.NewReader(body))
	if err == nil && got != d.Digest {
		err = fmt.Errorf("blob %s is damaged, its digest is %s", d.Digest, got)
	}
	return err
}
