package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

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

// satisfies tells whether an image of one platform runs on another. A variant
// that nobody asked for does not matter.
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
	if c, ok := errors.AsType[*choice](err); ok {
		return refuse("base: %s %s; say platforms: or take another base", m.cfg.Base, c.why)
	}
	if strings.HasPrefix(m.cfg.Base, layoutPrefix) {
		return refuse("base: %s cannot be read: %v; make the OCI layout anew", m.cfg.Base, err)
	}
	return fmt.Errorf("read base %s: %w", m.cfg.Base, err)
}
