package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/secret"
)

// Builder builds Dockerfiles. It is called by several actions at once. After an
// error nothing of the output need be there.
type Builder interface {
	Build(ctx context.Context, b dockerfile.Build) (dockerfile.Result, error)
}

// Secrets knows the values that a Dockerfile may mount.
type Secrets interface {
	// Secret returns the value of a secret for a pipeline. An error that is a
	// *secret.Error is the user's to mend: the action fails with it.
	Secret(ctx context.Context, pipeline, name string) (string, error)
}

var _ Builder = (*dockerfile.Builder)(nil)

// checkDockerfile is about images that are made by a Dockerfile. What it says is
// not said a second time.
func (m *making) checkDockerfile() error {
	if m.cfg.Base != "" || m.cfg.Path != "" || len(m.cfg.Entrypoint) > 0 || len(m.cfg.Env) > 0 || len(m.cfg.Ports) > 0 || m.cfg.User != "" {
		return refuse("dockerfile: base, path, entrypoint, env, ports and user do not go with it; the Dockerfile says them")
	}
	if m.action.Dockerfiles == nil {
		return refuse("dockerfile: this server builds none; leave it out and name a base, or have the administrator allow it")
	}
	if strings.ContainsRune(m.cfg.Target, 0) {
		return refuse("target: %q is not a name of a stage", m.cfg.Target)
	}
	for k, v := range m.cfg.Args {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return refuse("args: %q is not a name of an ARG", k)
		}
		if strings.ContainsRune(v, 0) {
			return refuse("args: the value of %s has a zero byte", k)
		}
	}
	return nil
}

// buildDockerfile has the Dockerfile built and reads what came out of it.
func (m *making) buildDockerfile(ctx context.Context) ([]base, []v1.Image, error) {
	b, err := m.build(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(m.built, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make a directory for the image: %w", err)
	}
	m.progress("build %s", m.cfg.Dockerfile)
	result, err := m.action.Dockerfiles.Build(ctx, b)
	if refused, ok := errors.AsType[*dockerfile.RefusedError](err); ok {
		return nil, nil, refuse("%s", refused.Message)
	}
	if err != nil {
		return nil, nil, err
	}
	m.builtOn = result.Bases
	return m.readBuilt()
}

// output is the OCI layout that comes out of a Dockerfile. Its directory is for
// who builds: what that lays beside the layout goes with it, after a kill too.
func (m *making) output() string { return filepath.Join(m.built, "image") }

// build says what is to be built, of paths that lie within the artifact.
func (m *making) build(ctx context.Context) (dockerfile.Build, error) {
	b := dockerfile.Build{
		Dir: m.files, Target: m.cfg.Target, Args: m.cfg.Args, NoCache: m.cfg.NoCache, Time: m.created(), Output: m.output(),
		Secrets: map[string][]byte{}, Layouts: map[string]dockerfile.Layout{}, Credential: m.pullCredential, Log: m.job.Log, Progress: m.job.Progress,
	}
	var err error
	if b.Dir, err = filepath.EvalSymlinks(m.files); err != nil {
		return b, err
	}
	if b.File, err = m.inside("dockerfile", m.cfg.Dockerfile); err != nil {
		return b, err
	}
	if b.Context, err = m.inside("context", m.cfg.Context); err != nil {
		return b, err
	}
	if len(m.cfg.Platforms) > 0 {
		for _, p := range m.platforms {
			b.Platforms = append(b.Platforms, p.String())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.cfg.Secrets)) {
		value, err := m.secret(ctx, id, m.cfg.Secrets[id])
		if err != nil {
			return b, err
		}
		b.Secrets[id] = []byte(value)
	}
	for base, place := range m.cfg.Bases {
		if b.Layouts[base], err = m.layoutFor(base, place); err != nil {
			return b, err
		}
	}
	return b, nil
}

// inside is the place of a path in the artifact, with all links followed.
func (m *making) inside(key, path string) (string, error) {
	if path != "" && !filepath.IsLocal(path) {
		return "", refuse("%s: %q leads out of the artifact; write a path from its top", key, path)
	}
	within, err := filepath.EvalSymlinks(m.files)
	if err != nil {
		return "", err
	}
	full, err := filepath.EvalSymlinks(filepath.Join(within, path))
	if err != nil {
		return "", refuse("%s: %s is not in artifact %s", key, path, m.artifactName())
	}
	if rel, err := filepath.Rel(within, full); err != nil || !filepath.IsLocal(rel) {
		return "", refuse("%s: %q leads out of the artifact; write a path from its top", key, path)
	}
	return full, nil
}

func (m *making) artifactName() string {
	artifact, _ := m.job.Input(m.cfg.Artifact)
	return artifact.Name
}

// secret is a value that RUN may mount.
func (m *making) secret(ctx context.Context, id, named string) (string, error) {
	if m.action.Secrets == nil {
		return "", refuse("secrets: %s: no secrets are kept here", id)
	}
	value, err := m.action.Secrets.Secret(ctx, m.job.Pipeline, named)
	if no, ok := errors.AsType[*secret.Error](err); ok {
		return "", refuse("secrets: %s: %v", id, no)
	}
	if err != nil {
		return "", fmt.Errorf("get secret %s: %w", named, err)
	}
	return value, nil
}

// layoutFor is an OCI layout that stands for an image's name in FROM. The one
// image or index in it is meant.
func (m *making) layoutFor(base, place string) (dockerfile.Layout, error) {
	path, ok := strings.CutPrefix(place, layoutPrefix)
	if !ok {
		return dockerfile.Layout{}, refuse("bases: %s: %q is not oci: and the path of an OCI layout directory", base, place)
	}
	ref := layoutRef{"bases: " + base, path}
	dir, _, err := m.layoutDir(ref)
	if err != nil {
		return dockerfile.Layout{}, err
	}
	index, err := openLayout(ref, dir)
	if err != nil {
		return dockerfile.Layout{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return dockerfile.Layout{}, ref.refuse("cannot be read: %v", err)
	}
	if len(manifest.Manifests) != 1 {
		return dockerfile.Layout{}, ref.refuse("has %s, and which one is meant is not clear; make a layout with one image or one index", count(len(manifest.Manifests), "image"))
	}
	return dockerfile.Layout{Dir: dir, Digest: manifest.Manifests[0].Digest.String()}, nil
}

// hub is how Docker Hub's registry calls itself, and how its credentials do.
var hub = map[string]bool{"registry-1.docker.io": true, "docker.io": true, name.DefaultRegistry: true}

// pullCredential is what a base's registry wants. Whoever builds gets no account
// that may push.
func (m *making) pullCredential(ctx context.Context, host string) (dockerfile.Credential, error) {
	if hub[host] {
		host = name.DefaultRegistry
	}
	registry, err := name.NewRegistry(host)
	if err != nil {
		return dockerfile.Credential{}, nil //nolint:nilerr // None is known for what is no registry.
	}
	own := m.action.Registry
	own.Auth = own.Pull
	if own.Auth == nil && host == own.Host {
		own.Auth = authn.Anonymous
	}
	found, err := keychain{own, m.otherRegistries()}.Resolve(registry)
	if err != nil {
		return dockerfile.Credential{}, fmt.Errorf("find the credentials for %s: %w", host, err)
	}
	said, err := authn.Authorization(ctx, found)
	if err != nil {
		return dockerfile.Credential{}, fmt.Errorf("find the credentials for %s: %w", host, err)
	}
	if said.IdentityToken != "" {
		return dockerfile.Credential{Password: said.IdentityToken}, nil
	}
	return dockerfile.Credential{User: said.Username, Password: said.Password}, nil
}

// readBuilt reads the images of the layout that came out of the Dockerfile.
func (m *making) readBuilt() ([]base, []v1.Image, error) {
	index, err := layout.ImageIndexFromPath(m.output())
	if err != nil {
		return nil, nil, fmt.Errorf("read the built image: %w", err)
	}
	if len(m.cfg.Platforms) == 0 {
		if m.platforms, err = platformsOf(index); err != nil {
			return nil, nil, fmt.Errorf("read the built image: %w", err)
		}
	}
	var bases []base
	var images []v1.Image
	for _, p := range m.platforms {
		img, _, err := choose(index, p, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("read the built image for %s: %w", p, err)
		}
		if img, err = m.labelled(img); err != nil {
			return nil, nil, fmt.Errorf("label the built image: %w", err)
		}
		bases = append(bases, base{platform: p})
		images = append(images, img)
	}
	return bases, images, nil
}

// platformsOf is what a build was for that was not told.
func platformsOf(index v1.ImageIndex) ([]v1.Platform, error) {
	c := chooser{byPlatform: map[string][]candidate{}}
	if err := c.walk(index, 0); err != nil {
		return nil, err
	}
	for _, found := range c.byPlatform {
		if len(found) == 1 && len(c.byPlatform) == 1 {
			return []v1.Platform{found[0].platform}, nil
		}
	}
	return nil, &choice{"there should be one image, and there is " + c.have()}
}

// labelled says in the image where it comes from. The source is the Dockerfile's
// to say, for registries that show it.
func (m *making) labelled(img v1.Image) (v1.Image, error) {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.Created = v1.Time{Time: m.created()}
	if cfg.Config.Labels == nil {
		cfg.Config.Labels = map[string]string{}
	}
	for k, v := range m.labels(base{}) {
		if _, has := cfg.Config.Labels[k]; !has || !strings.HasSuffix(k, ".source") {
			cfg.Config.Labels[k] = v
		}
	}
	return mutate.ConfigFile(img, cfg)
}
