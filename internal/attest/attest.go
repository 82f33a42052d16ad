// Package attest says, under signature, what an image holds and how it was
// made. Its noun is the statement: a bill of materials, read from the layers'
// own files, and a provenance, both about one digest and attached to it in its
// registry. It stands behind the image action, which it does not know, and in
// front of whoever runs the image, who checks with Verify.
//
// The forms are others': in-toto statements, SLSA provenance v1, CycloneDX,
// DSSE envelopes in Sigstore's bundles, OCI referrers.
package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// Attestor makes, signs and attaches statements about images. It is safe for
// concurrent use.
type Attestor struct {
	// Sign returns the signer of now. It is called for each image.
	Sign func(ctx context.Context) (*Signer, error)
	// Builder is where this server is reached, which names it in provenances.
	Builder string
	Version string // of Towline
	// Cache is a directory that keeps what was found in layers, by their
	// digests. Files in it may be removed at any time. "" keeps nothing.
	Cache  string
	Now    func() time.Time
	Logger *slog.Logger
}

// Image is what an image action has made and pushed.
type Image struct {
	// Reference is what was pushed: an image, or an index of several.
	Reference  name.Digest
	Descriptor v1.Descriptor // of it
	Platforms  []Platform
	// Files is a directory with the files of the last layer, which is the same
	// for all platforms, and Path where the image has them. Without Files the
	// last layer is read like the others.
	Files, Path string
	// Source is what the image was made of.
	Source Source
	// Options reach the registry: credentials and transport.
	Options []remote.Option
	// Say takes what a person should read, a line at a time.
	Say func(format string, args ...any)
}

// Platform is an image for one platform.
type Platform struct {
	Image      v1.Image
	Descriptor v1.Descriptor // of it
	Platform   v1.Platform
	Base       Material // zero for scratch
}

// Attest makes and attaches the statements of an image: a provenance of what
// was pushed, and for each platform a bill of materials.
func (a *Attestor) Attest(ctx context.Context, image Image) error {
	started := a.Now()
	signer, err := a.Sign(ctx)
	if err != nil {
		return fmt.Errorf("attest %s: %w", image.Reference, err)
	}
	pusher, err := remote.NewPusher(append([]remote.Option{remote.WithContext(ctx)}, image.Options...)...)
	if err != nil {
		return explain(image.Reference, err)
	}
	push := publisher{signer: signer, repository: image.Reference.Context(), pusher: pusher, made: image.Source.Revision.Time}
	// They do not depend on each other, and each is some round trips.
	work, ctx := errgroup.WithContext(ctx)
	packages := 0
	for _, p := range image.Platforms {
		found, err := a.inspect(ctx, image, p)
		if err != nil {
			return errors.Join(fmt.Errorf("list what is in %s: %w", image.Reference, err), work.Wait())
		}
		for _, what := range found.Unread {
			image.Say("warning: the bill of materials leaves out %s", what)
		}
		packages += len(found.Packages)
		bill, err := billText(a.bill(image, p, found))
		if err != nil {
			return errors.Join(err, work.Wait())
		}
		work.Go(func() error { return push.attach(ctx, p.Descriptor, billType, bill, nil) })
		work.Go(func() error { return push.materials(ctx, bill, p.Descriptor) })
	}
	work.Go(func() error {
		return push.statement(ctx, image.Descriptor, PredicateProvenance, a.provenance(image), subjects(image))
	})
	work.Go(func() error { return push.signature(ctx, image.Reference) })
	if err := work.Wait(); err != nil {
		return explain(image.Reference, err)
	}
	image.Say("attested: provenance and %s, signed with key %s (%v)", count(packages, "package"), signer.Public.Short(), a.Now().Sub(started).Round(time.Millisecond))
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Material is something that an image was made of, in the words of SLSA's
// resource descriptors.
type Material struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// subjects are the digest that was pushed and, of an index, its images.
func subjects(image Image) []Subject {
	named := image.Reference.Context().Name()
	digest, _ := v1.NewHash(image.Reference.DigestStr()) // it was read as one
	all := []Subject{{named, map[string]string{digest.Algorithm: digest.Hex}}}
	for _, p := range image.Platforms {
		if p.Descriptor.Digest != digest {
			all = append(all, Subject{named, map[string]string{p.Descriptor.Digest.Algorithm: p.Descriptor.Digest.Hex}})
		}
	}
	return all
}

// The types of what is signed.
const (
	statementType       = "https://in-toto.io/Statement/v1"
	payloadType         = "application/vnd.in-toto+json"
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	PredicateMaterials  = "https://cyclonedx.org/bom"
)

// statement is an in-toto statement.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

func newStatement(predicateType string, predicate any, about []Subject) ([]byte, error) {
	raw, err := json.Marshal(predicate)
	if err != nil {
		return nil, fmt.Errorf("write a statement: %w", err)
	}
	return json.Marshal(statement{statementType, about, predicateType, raw})
}
