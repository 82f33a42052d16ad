package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	scratch      = "scratch"
	layoutPrefix = "oci:"
)

// base is what the layer is put on, for one platform.
type base struct {
	image    v1.Image
	platform v1.Platform
	digest   v1.Hash // zero for scratch
	name     string  // a reference others can pull, or empty
	dir      string  // of a layout inside the artifact, relative to its root, or empty
}

func (b base) scratch() bool { return b.digest == v1.Hash{} }

// bases returns the base for each platform, in the order asked for.
func (m *making) bases(ctx context.Context) ([]base, error) {
	found, err := m.findBases(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range found {
		if b.scratch() {
			m.say("base scratch, %s", b.platform)
			continue
		}
		layers, err := b.image.Layers()
		if err != nil {
			return nil, fmt.Errorf("read base %s: %w", m.cfg.Base, err)
		}
		m.say("base %s@%s, %s, %d layers", m.cfg.Base, b.digest, b.platform, len(layers))
	}
	return found, nil
}

func (m *making) findBases(ctx context.Context) ([]base, error) {
	if m.cfg.Base == scratch {
		img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
		img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
		return m.each(func(v1.Platform) (base, error) { return base{image: img}, nil })
	}
	if dir, ok := strings.CutPrefix(m.cfg.Base, layoutPrefix); ok {
		return m.layoutBases(dir)
	}
	return m.remoteBases(ctx)
}

// each finds the base for every platform.
func (m *making) each(find func(v1.Platform) (base, error)) ([]base, error) {
	found := make([]base, len(m.platforms))
	for i, p := range m.platforms {
		b, err := find(p)
		if err != nil {
			return nil, err
		}
		b.platform = p
		found[i] = b
	}
	return found, nil
}

// remoteBases pulls manifests and configurations; layers stay where they are
// until the push asks for those that the target does not have.
func (m *making) remoteBases(ctx context.Context) ([]base, error) {
	ref, err := m.reference(m.cfg.Base)
	if err != nil {
		return nil, err
	}
	m.progress("look up %s", ref)
	puller, err := remote.NewPuller(remote.WithAuthFromKeychain(m.keychain()), remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	desc, err := puller.Get(ctx, ref)
	if err != nil {
		return nil, explainPull(ref, err)
	}
	return m.each(func(p v1.Platform) (base, error) {
		b := base{name: ref.Name()}
		if desc.MediaType.IsIndex() {
			idx, err := desc.ImageIndex()
			if err != nil {
				return base{}, explainPull(ref, err)
			}
			b.image, b.digest, err = choose(idx, p, nil)
			if err != nil {
				return base{}, m.explainChoice(err)
			}
			return b, nil
		}
		img, err := desc.Image()
		if err != nil {
			return base{}, explainPull(ref, err)
		}
		if err := fits(img, p); err != nil {
			return base{}, m.explainChoice(err)
		}
		b.image, b.digest = img, desc.Digest
		return b, nil
	})
}

// reference reads an image reference.
func (m *making) reference(text string) (name.Reference, error) {
	host, _, _ := strings.Cut(text, "/")
	ref, err := name.ParseReference(text, m.options(host)...)
	if err != nil {
		return nil, refuse("base: %q is neither scratch, an image reference such as eclipse-temurin:17-jre, nor oci:PATH: %v", text, err)
	}
	return ref, nil
}

// layoutBases takes images from an OCI layout directory.
func (m *making) layoutBases(text string) ([]base, error) {
	dir, inside, err := m.layoutDir(text)
	if err != nil {
		return nil, err
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

// blobLimit is the most that a manifest or a configuration may have, in bytes:
// they are read into memory.
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

// choice is why no image of a base fits a platform.
type choice struct{ why string }

func (c *choice) Error() string { return c.why }

// choose finds the one image for a platform in an index. Check is called with
// each manifest and configuration before it is read; nil trusts them.
func choose(idx v1.ImageIndex, want v1.Platform, check func(v1.Descriptor) error) (v1.Image, v1.Hash, error) {
	c := chooser{check: check, byPlatform: map[string][]candidate{}}
	if err := c.walk(idx, 0); err != nil {
		return nil, v1.Hash{}, err
	}
	var fit []candidate
	for _, all := range c.byPlatform {
		for _, f := range all {
			if satisfies(f.platform, want) {
				fit = append(fit, f)
			}
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0].image, fit[0].digest, nil
	case len(fit) == 0:
		return nil, v1.Hash{}, &choice{fmt.Sprintf("has no image for %s; it has %s", want, c.have())}
	}
	return nil, v1.Hash{}, &choice{fmt.Sprintf("has %d images for %s, and which one is meant is not clear; it has %s", len(fit), want, c.have())}
}

// satisfies is Platform.Satisfies, and the one variant of arm64 is no demand.
func satisfies(have, want v1.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == want.Variant)
}

type candidate struct {
	image    v1.Image
	digest   v1.Hash
	platform v1.Platform
}

type chooser struct {
	check      func(v1.Descriptor) error
	byPlatform map[string][]candidate
}

// have lists the platforms found.
func (c *chooser) have() string {
	names := []string{}
	for p := range c.byPlatform {
		names = append(names, p)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (c *chooser) walk(idx v1.ImageIndex, depth int) error {
	if depth > 3 {
		return errors.New("its indexes are nested too deep")
	}
	m, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range m.Manifests {
		if _, attached := d.Annotations["vnd.docker.reference.type"]; attached || !d.MediaType.IsIndex() && !d.MediaType.IsImage() {
			continue // BuildKit's attestations, and things that are no images
		}
		if c.check != nil {
			if err := c.check(d); err != nil {
				return err
			}
		}
		if err := c.take(idx, d, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *chooser) take(idx v1.ImageIndex, d v1.Descriptor, depth int) error {
	if d.MediaType.IsIndex() {
		child, err := idx.ImageIndex(d.Digest)
		if err != nil {
			return err
		}
		return c.walk(child, depth+1)
	}
	img, err := idx.Image(d.Digest)
	if err != nil {
		return err
	}
	if c.check != nil {
		m, err := img.Manifest()
		if err != nil {
			return err
		}
		if err := c.check(m.Config); err != nil {
			return err
		}
	}
	p := d.Platform
	if p == nil {
		if p, err = platformOf(img); err != nil {
			return err
		}
	}
	all := c.byPlatform[p.String()]
	same := func(f candidate) bool { return f.digest == d.Digest }
	if !slices.ContainsFunc(all, same) {
		c.byPlatform[p.String()] = append(all, candidate{img, d.Digest, *p})
	}
	return nil
}

func platformOf(img v1.Image) (*v1.Platform, error) {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	return cfg.Platform(), nil
}

// fits tells whether the only image of a base is for a platform.
func fits(img v1.Image, want v1.Platform) error {
	p, err := platformOf(img)
	if err != nil {
		return err
	}
	if !satisfies(*p, want) {
		return &choice{fmt.Sprintf("has no image for %s; it has %s", want, p)}
	}
	return nil
}

// explainChoice turns what choose said into the user's words.
func (m *making) explainChoice(err error) error {
	var c *choice
	if errors.As(err, &c) {
		return refuse("base: %s %s; say platforms: or take another base", m.cfg.Base, c.why)
	}
	if strings.HasPrefix(m.cfg.Base, layoutPrefix) {
		return refuse("base: %s cannot be read: %v; make the OCI layout anew", m.cfg.Base, err)
	}
	return fmt.Errorf("read base %s: %w", m.cfg.Base, err)
}
