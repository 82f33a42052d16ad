package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The media types of what is attached.
const (
	bundleType      types.MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	billType        types.MediaType = "application/vnd.cyclonedx+json"
	simpleType      types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	emptyType       types.MediaType = "application/vnd.oci.empty.v1+json"
	simpleSignature                 = "dev.cosignproject.cosign/signature"
)

// bundle is Sigstore's, of a statement that was signed with a key.
type bundle struct {
	MediaType types.MediaType `json:"mediaType"`
	Material  material        `json:"verificationMaterial"`
	Envelope  envelope        `json:"dsseEnvelope"`
}

type material struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
}

// publisher attaches things to the images of one repository.
type publisher struct {
	signer     *Signer
	repository name.Repository
	pusher     *remote.Pusher
	made       time.Time // the time in what is attached
}

// materials attaches a bill of materials within a signed statement.
func (p publisher) materials(ctx context.Context, bill []byte, about v1.Descriptor) error {
	subject := []Subject{{p.repository.Name(), map[string]string{about.Digest.Algorithm: about.Digest.Hex}}}
	return p.statement(ctx, about, PredicateMaterials, json.RawMessage(bill), subject)
}

// statement signs a statement and attaches it to one of its subjects.
func (p publisher) statement(ctx context.Context, about v1.Descriptor, predicateType string, predicate any, subjects []Subject) error {
	body, err := newStatement(predicateType, predicate, subjects)
	if err != nil {
		return err
	}
	signed, err := p.signer.envelope(body)
	if err != nil {
		return err
	}
	b := bundle{MediaType: bundleType, Envelope: signed}
	b.Material.PublicKey.Hint = p.signer.Public.ID()
	text, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	return p.attach(ctx, about, bundleType, text, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType,
	})
}

// attach pushes a manifest with one blob that refers to an image.
func (p publisher) attach(ctx context.Context, about v1.Descriptor, kind types.MediaType, blob []byte, annotations map[string]string) error {
	layer, config := static.NewLayer(blob, kind), static.NewLayer([]byte("{}"), emptyType)
	m := manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: kind,
		Subject:     v1.Descriptor{MediaType: about.MediaType, Digest: about.Digest, Size: about.Size},
		Annotations: map[string]string{"org.opencontainers.image.created": p.made.UTC().Format(time.RFC3339)},
	}
	maps.Copy(m.Annotations, annotations)
	for into, l := range map[*v1.Descriptor]v1.Layer{&m.Config: config, &m.layer: layer} {
		d, err := partial.Descriptor(l)
		if err != nil {
			return err
		}
		*into = *d
	}
	m.Layers = []v1.Descriptor{m.layer}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	img, err := partial.CompressedToImage(artifact{raw, layer})
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return p.pusher.Push(ctx, p.repository.Digest(digest.String()), img)
}

// manifest is OCI's, of something that is no image.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  types.MediaType   `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       v1.Descriptor     `json:"subject"`
	Annotations   map[string]string `json:"annotations"`

	layer v1.Descriptor
}

// artifact is a manifest with its blob, for a library that pushes images.
type artifact struct {
	raw   []byte
	layer v1.Layer
}

var _ partial.CompressedImageCore = artifact{}

func (artifact) RawConfigFile() ([]byte, error)                           { return []byte("{}"), nil }
func (artifact) MediaType() (types.MediaType, error)                      { return types.OCIManifestSchema1, nil }
func (a artifact) RawManifest() ([]byte, error)                           { return a.raw, nil }
func (a artifact) LayerByDigest(v1.Hash) (partial.CompressedLayer, error) { return a.layer, nil }

// signature attaches a signature of the image itself in the form that cosign
// keeps under a tag.
func (p publisher) signature(ctx context.Context, image name.Digest) error {
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": p.repository.Name()},
			"image":    map[string]string{"docker-manifest-digest": image.DigestStr()},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
	if err != nil {
		return err
	}
	signature, err := p.signer.sign(payload)
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	img, err := mutate.Append(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer(payload, simpleType),
		Annotations: map[string]string{simpleSignature: base64.StdEncoding.EncodeToString(signature)},
	})
	if err != nil {
		return err
	}
	return p.pusher.Push(ctx, p.repository.Tag(strings.Replace(image.DigestStr(), ":", "-", 1)+".sig"), img)
}

// explain tells how to mend the errors that users meet.
func explain(image name.Digest, err error) error {
	if refused, ok := errors.AsType[*transport.Error](err); ok && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("attach the attestations of %s: %w: the account that pushes the image must be allowed to push to the same repository again", image, err)
	}
	return fmt.Errorf("attach the attestations of %s: %w", image, err)
}
