package image

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/towline/towline/internal/pipeline"
)

// Attestor is told of each image once it is pushed, and says under signature
// how it was made. It is called by several actions at once, and again for the
// same image when an action runs again. While it runs the files are there. Its
// error is a fault: an image that nobody vouches for is not handed on.
type Attestor interface {
	Attest(ctx context.Context, made Made) error
}

// Made is an image, or an index of several, that has been pushed.
type Made struct {
	Job      pipeline.Job
	Config   pipeline.Image // with the defaults filled in
	Artifact pipeline.Artifact
	// Files is a directory with the artifact's files. In the image they are at
	// Config.Path, in the last layer. Empty when a Dockerfile was built.
	Files string
	// Bases are the images that the Dockerfile was built on, by digest.
	Bases      []string
	Reference  name.Digest
	Descriptor v1.Descriptor // of Reference
	Images     []MadeImage   // one for each platform
	// Options reach the registry.
	Options []remote.Option
	// Say adds a line to the action's log.
	Say func(format string, args ...any)
}

// MadeImage is the image for one platform.
type MadeImage struct {
	Image      v1.Image
	Descriptor v1.Descriptor
	Platform   v1.Platform
	// BaseName is a reference that others can pull, "" for one that came out of
	// a directory; BaseDigest is zero for scratch.
	BaseName   string
	BaseDigest v1.Hash
}

// attest tells the attestor of what was pushed.
func (m *making) attest(ctx context.Context, bases []base, images []v1.Image) error {
	if m.action.Attestor == nil {
		return nil
	}
	artifact, _ := m.job.Input(m.cfg.Artifact)
	made := Made{
		Job: m.job, Config: m.cfg, Artifact: artifact, Files: m.files, Say: m.say,
		Reference: m.target.Digest(m.pushed.Digest.String()), Descriptor: m.pushed,
		Options: []remote.Option{remote.WithAuthFromKeychain(m.keychain())}, Bases: m.builtOn,
	}
	if m.cfg.Dockerfile != "" {
		made.Files = ""
	}
	for i, img := range images {
		d, err := partial.Descriptor(img)
		if err != nil {
			return err
		}
		made.Images = append(made.Images, MadeImage{Image: img, Descriptor: *d, Platform: bases[i].platform, BaseName: bases[i].name, BaseDigest: bases[i].digest})
	}
	m.progress("attest %s", m.target)
	return m.action.Attestor.Attest(ctx, made)
}
