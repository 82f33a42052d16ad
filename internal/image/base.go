package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
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
		m.say("base %s@%s, %s, %s", m.cfg.Base, b.digest, b.platform, count(len(layers), "layer"))
	}
	return found, nil
}

func (m *making) findBases(ctx context.Context) ([]base, error) {
	if m.cfg.Base == scratch {
		img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
		img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
		return m.each(func(v1.Platform) (base, error) { return base{image: img}, nil })
	}
	if path, ok := strings.CutPrefix(m.cfg.Base, layoutPrefix); ok {
		return m.layoutBases(layoutRef{"base", path})
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
