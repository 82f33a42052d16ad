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

// layoutBases takes images from an OCI layout directory.
func (m *making) layoutBases(text string) ([]base, error) {
	dir, inside, err := m.layoutDir(text)
	if err != nil {
		return nil, err
	}
	// It is read into memory whole.
	if info, err := os.Stat(filepath.Join(dir, "index.json")); err == nil && info.Size() > blobLimit {
		return nil, refuse("base: %s cannot be read: its index.json is too large; make the OCI layout anew", m.cfg.Base)
	}
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, refuse("base: %s is not an OCI layout directory, for its index.json cannot be read: %v", m.cfg.Base, errors.Unwrap(err))
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

// layoutDir is the directory that oci:PATH means: inside the artifact when
// PATH is relative, on this machine when it is absolute. Links are followed
// before the place is judged.
func (m *making) layoutDir(text string) (dir, inside string, err error) {
	if !filepath.IsAbs(text) {
		if !filepath.IsLocal(text) {
			return "", "", refuse("base: oci:%s leads out of the artifact", text)
		}
		if filepath.Clean(text) == "." {
			return "", "", refuse("base: oci:%s is the whole artifact, which would leave no files for the image; put the layout into a directory of its own", text)
		}
		dir, ok := below(m.files, filepath.Join(m.files, text))
		if !ok {
			return "", "", refuse("base: the artifact has no directory %s; add the OCI layout to the artifacts of the build before", text)
		}
		inside, err := filepath.Rel(m.files, filepath.Join(m.files, text))
		return dir, inside, err
	}
	for _, allowed := range m.action.BaseDirs {
		if dir, ok := below(allowed, text); ok {
			return dir, "", nil
		}
	}
	if len(m.action.BaseDirs) == 0 {
		return "", "", refuse("base: %s is on the server's own disk, and this server takes no bases from there; put it into the artifact and write a relative path", m.cfg.Base)
	}
	return "", "", refuse("base: %s is not in a directory that this server takes bases from (%s); move it there, or put it into the artifact and write a relative path",
		m.cfg.Base, strings.Join(m.action.BaseDirs, ", "))
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
