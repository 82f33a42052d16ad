package attest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Wanted is what is asked of an image.
type Wanted struct {
	Reference name.Reference
	Options   []remote.Option
	// Keys are those that may have signed. There is at least one.
	Keys []PublicKey
	// Source, when it is not "", is where the image must come from: a
	// repository's URL, or its name on the server.
	Source string
}

// Verified is what is proven of an image.
type Verified struct {
	Image      string     `json:"image"` // by digest
	Key        string     `json:"key"`   // ID of the one that signed
	Provenance Provenance `json:"provenance"`
	// Materials is the digest's own bill of materials in CycloneDX's JSON, nil
	// when there is none, as of an index.
	Materials json.RawMessage `json:"-"`
}

// RefusedError says why an image is not what is wanted.
type RefusedError struct {
	Image   string
	Reasons []string
}

func (e *RefusedError) Error() string {
	return e.Image + " is not verified: " + strings.Join(e.Reasons, "; ")
}

// mostReferrers bounds how many things that are attached to an image are looked
// at: everybody who may push may attach.
const mostReferrers = 200

// Verify checks that an image has a provenance that was signed by one of the
// keys and is about this very digest, and returns the newest. The error is a
// *RefusedError when it has none, or comes from elsewhere.
func Verify(ctx context.Context, w Wanted) (Verified, error) {
	options := append([]remote.Option{remote.WithContext(ctx)}, w.Options...)
	head, err := remote.Head(w.Reference, options...)
	if err != nil {
		return Verified{}, explainLook(w.Reference, err)
	}
	at := w.Reference.Context().Digest(head.Digest.String())
	found := Verified{Image: at.String()}
	refused := &RefusedError{Image: at.String()}
	index, err := remote.Referrers(at, options...)
	if err != nil {
		return Verified{}, explainLook(w.Reference, err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return Verified{}, explainLook(w.Reference, err)
	}
	looked := 0
	for _, d := range list.Manifests {
		if d.ArtifactType != string(bundleType) {
			continue
		}
		if looked++; looked > mostReferrers {
			refused.Reasons = append(refused.Reasons, fmt.Sprintf("more than %d attestations are attached to it", mostReferrers))
			break
		}
		b, err := fetch(at.Context().Digest(d.Digest.String()), options)
		if err == nil {
			err = found.take(b, head.Digest, w)
		}
		if err != nil {
			refused.Reasons = append(refused.Reasons, fmt.Sprintf("attestation %s: %v", d.Digest.Hex[:min(12, len(d.Digest.Hex))], err))
		}
	}
	if looked == 0 {
		refused.Reasons = []string{"nobody has attested how it was made"}
	}
	if found.Key == "" {
		if len(refused.Reasons) == 0 {
			refused.Reasons = []string{"it has a bill of materials but no provenance"}
		}
		return Verified{}, refused
	}
	return found, nil
}

// take checks one attestation and takes in what it proves.
func (v *Verified) take(b bundle, digest v1.Hash, w Wanted) error {
	s, key, err := b.open(w.Keys)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Subject, func(about Subject) bool { return about.Digest[digest.Algorithm] == digest.Hex }) {
		return errors.New("it is about another image")
	}
	switch s.PredicateType {
	case PredicateMaterials:
		v.Materials = s.Predicate
		return nil
	case PredicateProvenance:
	default:
		return nil // it is true, and tells nothing that is asked
	}
	var p Provenance
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		return fmt.Errorf("its provenance cannot be read: %w", err)
	}
	if w.Source != "" && !p.from(w.Source) {
		return fmt.Errorf("it was made from %s, not from %s", p.BuildDefinition.ExternalParameters.Source, w.Source)
	}
	if v.Key == "" || p.RunDetails.Metadata.FinishedOn.After(v.Provenance.RunDetails.Metadata.FinishedOn) {
		v.Key, v.Provenance = key.ID(), p
	}
	return nil
}

// from tells whether the source is this repository: by its URL, or by its name
// on the server that built.
func (p Provenance) from(source string) bool {
	if !strings.ContainsAny(source, ":/") {
		return p.BuildDefinition.InternalParameters.Repository == source
	}
	return plainURL(p.BuildDefinition.ExternalParameters.Source) == plainURL(source)
}

// plainURL leaves out what does not tell repositories apart.
func plainURL(text string) string {
	text = strings.TrimPrefix(text, "git+")
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = strings.ToLower(u.Host) + u.Path
	}
	return strings.TrimSuffix(strings.TrimRight(text, "/"), ".git")
}

// Commit is the source commit.
func (p Provenance) Commit() string {
	for _, m := range p.BuildDefinition.ResolvedDependencies {
		if m.Name == "source" {
			return m.Digest["gitCommit"]
		}
	}
	return ""
}

// largestBundle bounds what is read of one attestation, in bytes.
const largestBundle = 64 << 20

// fetch gets an attestation. Its digests are checked on the way.
func fetch(ref name.Digest, options []remote.Option) (bundle, error) {
	img, err := remote.Image(ref, options...)
	if err != nil {
		return bundle{}, fmt.Errorf("it cannot be fetched: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return bundle{}, fmt.Errorf("it cannot be fetched: %w", err)
	}
	if len(layers) != 1 {
		return bundle{}, fmt.Errorf("it has %d parts, and 1 is wanted", len(layers))
	}
	r, err := layers[0].Compressed()
	if err != nil {
		return bundle{}, fmt.Errorf("it cannot be fetched: %w", err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, largestBundle+1))
	if err != nil {
		return bundle{}, fmt.Errorf("it cannot be fetched: %w", err)
	}
	if len(text) > largestBundle {
		return bundle{}, fmt.Errorf("it is larger than %d MiB", largestBundle>>20)
	}
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return bundle{}, fmt.Errorf("it is no bundle of Sigstore's: %w", err)
	}
	return b, nil
}

// explainLook tells how to mend the errors that users meet.
func explainLook(ref name.Reference, err error) error {
	refused, ok := errors.AsType[*transport.Error](err)
	switch {
	case ok && refused.StatusCode == http.StatusNotFound:
		return fmt.Errorf("verify %s: there is no such image", ref)
	case ok && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return fmt.Errorf("verify %s: %w: sign in with docker login %s", ref, err, cmp.Or(ref.Context().RegistryStr(), "REGISTRY"))
	}
	return fmt.Errorf("verify %s: %w", ref, err)
}
