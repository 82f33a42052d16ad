package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/internal/attest"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// attestKeys are those that attestations are signed with, the private halves
// sealed in the database. The newest signs; the others check what they signed.
type attestKeys struct {
	store *store.DB
	keys  *secret.Keyring
	now   func() time.Time

	making sync.Mutex // the first key is made once
}

var _ server.AttestKeys = (*attestKeys)(nil)

func attestLabel(id string) string { return "attest key " + id }

// List shows the public keys, the one that signs first.
func (k *attestKeys) List(ctx context.Context) ([]client.AttestKey, error) {
	all, err := k.all(ctx)
	if err != nil {
		return nil, err
	}
	var found []client.AttestKey
	for _, stored := range all {
		shown, err := showAttestKey(stored)
		if err != nil {
			return nil, err
		}
		found = append(found, shown)
	}
	return found, nil
}

func showAttestKey(stored store.AttestKey) (client.AttestKey, error) {
	public, err := attest.ParsePublicKey(stored.Public)
	if err != nil {
		return client.AttestKey{}, err
	}
	return client.AttestKey{ID: stored.ID, PEM: public.PEM(), Created: stored.Created}, nil
}

// all has at least one key.
func (k *attestKeys) all(ctx context.Context) ([]store.AttestKey, error) {
	all, err := k.store.AttestKeys(ctx)
	if err != nil || len(all) > 0 {
		return all, err
	}
	k.making.Lock()
	defer k.making.Unlock()
	if all, err = k.store.AttestKeys(ctx); err != nil || len(all) > 0 {
		return all, err
	}
	made, err := k.add(ctx)
	return []store.AttestKey{made}, err
}

// Rotate makes a key that signs from now on.
func (k *attestKeys) Rotate(ctx context.Context) (client.AttestKey, error) {
	made, err := k.add(ctx)
	if err != nil {
		return client.AttestKey{}, err
	}
	return showAttestKey(made)
}

func (k *attestKeys) add(ctx context.Context) (store.AttestKey, error) {
	signer, err := attest.NewSigner()
	if err != nil {
		return store.AttestKey{}, err
	}
	private, err := signer.Private()
	if err != nil {
		return store.AttestKey{}, err
	}
	made := store.AttestKey{ID: signer.Public.ID(), Public: signer.Public.DER(), Created: k.now().UTC().Truncate(time.Second)}
	if made.Sealed, err = k.keys.Seal(attestLabel(made.ID), private); err != nil {
		return store.AttestKey{}, err
	}
	return made, k.store.AddAttestKey(ctx, made)
}

// signer is the key that signs now.
func (k *attestKeys) signer(ctx context.Context) (*attest.Signer, error) {
	all, err := k.all(ctx)
	if err != nil {
		return nil, err
	}
	private, err := k.keys.Unseal(attestLabel(all[0].ID), all[0].Sealed)
	if err != nil {
		return nil, err
	}
	return attest.ParseSigner(private)
}

// reseal encrypts all private keys with the newest key of the keyring.
func (k *attestKeys) reseal(ctx context.Context) error {
	return k.store.ResealAttestKeys(ctx, func(id string, sealed []byte) ([]byte, error) {
		text, err := k.keys.Unseal(attestLabel(id), sealed)
		if err != nil {
			return nil, err
		}
		return k.keys.Seal(attestLabel(id), text)
	})
}

// attestor says how this server's images were made.
func (a *App) attestor() image.Attestor {
	cache := filepath.Join(a.options.Server.Data, "layers")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		a.options.Logger.Warn("keep what is in layers of base images", "error", err)
		cache = ""
	}
	return imageAttestor{
		attestor: &attest.Attestor{
			Sign: a.attestKeys.signer, Builder: a.PublicURL(), Version: a.options.Version, Cache: cache, Now: time.Now, Logger: a.options.Logger,
		},
		store: a.store, cloneURL: a.cloneURL,
	}
}

// imageAttestor has the attestor say how images were made.
type imageAttestor struct {
	attestor *attest.Attestor
	store    *store.DB
	cloneURL func(repository string) string
}

var _ image.Attestor = imageAttestor{}

// Attest adds what only the execution knows: which build made the artifact.
func (a imageAttestor) Attest(ctx context.Context, made image.Made) error {
	what := attest.Image{
		Reference: made.Reference, Descriptor: made.Descriptor, Files: made.Files, Path: made.Config.Path, Options: made.Options, Say: made.Say,
		Source: attest.Source{
			Pipeline: made.Job.Pipeline, Execution: made.Job.Execution, Stage: made.Job.Stage, Action: made.Job.Action.Name,
			Revision: made.Job.Revision, URL: a.cloneURL(made.Job.Revision.Repository), Artifact: made.Artifact, Image: made.Config, Bases: made.Bases,
		},
	}
	for _, img := range made.Images {
		p := attest.Platform{Image: img.Image, Descriptor: img.Descriptor, Platform: img.Platform}
		if img.BaseDigest != (v1.Hash{}) {
			p.Base = attest.Material{Name: "base", URI: "oci:" + cmp.Or(img.BaseName, "layout") + "@" + img.BaseDigest.String(), Digest: map[string]string{img.BaseDigest.Algorithm: img.BaseDigest.Hex}}
		}
		what.Platforms = append(what.Platforms, p)
	}
	execution, err := a.store.Execution(ctx, made.Job.Execution)
	if err != nil {
		return fmt.Errorf("attest %s: %w", made.Reference, err)
	}
	what.Source.Started = execution.Started
	what.Source.Buildspec = buildspecOf(execution.Definition, made.Artifact.Name)
	return a.attestor.Attest(ctx, what)
}

// buildspecOf is the file by which a pipeline makes an artifact, "" when there
// is none.
func buildspecOf(p pipeline.Pipeline, artifact string) string {
	for _, stage := range p.Stages {
		for _, action := range stage.Actions {
			if action.Type.Provider != "Buildspec" || !slices.Contains(action.Outputs, artifact) {
				continue
			}
			var build pipeline.Build
			if json.Unmarshal(action.Configuration, &build) != nil || len(build.Commands) > 0 {
				return ""
			}
			return cmp.Or(build.Buildspec, buildspec.FileName)
		}
	}
	return ""
}

// cloneURL is where a repository of this server is cloned from.
func (a *App) cloneURL(repository string) string {
	if strings.Contains(repository, ":") {
		return repository // one elsewhere
	}
	return a.PublicURL() + "/git/" + repository + ".git"
}
