// Package image carries out the fifth part of the flow, between the artifact
// and the release: it lays the files of an artifact on a base image, without a
// daemon, or has a Dockerfile in it built, pushes the result to a registry and
// names it by its digest.
//
// The same artifact, base, configuration and commit give the same digest: the
// layer has fixed times, one owner and normal modes, and the only time in the
// image is the commit's. A label carries the commit, so two commits with the
// same files give two images that share their layers.
//
// The room knows OCI's nouns and pipeline's. It must not know where artifacts
// are kept, which registry is the embedded one, or who runs it.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/towline/towline/internal/pipeline"
)

// Unpacker is the artifact store as this room needs it. Unpack writes the
// files of an artifact into dir, checked against the digest, with no link that
// leads out of dir. An artifact that is not there is fs.ErrNotExist.
type Unpacker interface {
	Unpack(ctx context.Context, digest, dir string) error
}

// Registry is where a bare repository name belongs.
type Registry struct {
	// Host is host:port as the cluster's nodes name it too. A path after it
	// goes before every name: with ghcr.io/acme, web is ghcr.io/acme/web.
	Host     string
	Insecure bool // plain HTTP

	// Auth is the server's own account, when the registry is the embedded one.
	// Nil looks into Action.Keychain, as for any other registry.
	Auth authn.Authenticator
	// Pull is an account that may only pull, for who builds Dockerfiles.
	Pull authn.Authenticator
}

// Action is Build/Image. Its configuration is pipeline.Image.
type Action struct {
	Artifacts Unpacker
	Registry  Registry

	// BaseDirs are the directories of this machine below which an absolute
	// oci: base may be. None forbids them all.
	BaseDirs []string

	// Keychain has the credentials for other registries than Registry. Nil is
	// Docker's: its config file and credential helpers.
	Keychain authn.Keychain

	// Attestor is told of each image. Nil: nobody vouches for them.
	Attestor Attestor

	// Dockerfiles builds them, and Secrets knows what they ask for. Nil, there
	// are none.
	Dockerfiles Builder
	Secrets     Secrets
}

// Run makes and pushes the image. Given the same job again it makes the same
// image and finds it pushed.
func (a *Action) Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error) {
	m := making{
		action: a,
		job:    job,
		files:  filepath.Join(job.Dir, "files"),
		packed: filepath.Join(job.Dir, "layer.tar.gz"),
		built:  filepath.Join(job.Dir, "built"),
	}
	result, err := m.run(ctx)
	// What an earlier attempt left is unpacked anew, so nothing need stay.
	err = errors.Join(err, m.clean())
	var no *refusal
	switch {
	case err != nil && ctx.Err() != nil:
		return pipeline.Result{}, context.Cause(ctx)
	case errors.As(err, &no):
		return pipeline.Fail("%s", no.message), nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return pipeline.Result{}, fmt.Errorf("make image: no space left in %s; free space on that disk and retry the stage: %w", job.Dir, err)
	case err != nil:
		return pipeline.Result{}, fmt.Errorf("make image: %w", err)
	}
	return result, nil
}

// refusal is an error of the user's work rather than of ours.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...)}
}

// making is the making of one image.
type making struct {
	action    *Action
	job       pipeline.Job
	cfg       pipeline.Image
	target    name.Repository
	embedded  bool // the target is in the server's own registry
	platforms []v1.Platform
	files     string   // directory of the unpacked artifact
	packed    string   // file of the new layer
	built     string   // directory of who builds a Dockerfile
	builtOn   []string // the bases that the Dockerfile names, by digest
	pushed    v1.Descriptor
}

func (m *making) clean() error {
	return errors.Join(os.RemoveAll(m.files), os.RemoveAll(m.packed), os.RemoveAll(m.built))
}

func (m *making) run(ctx context.Context) (pipeline.Result, error) {
	if err := json.Unmarshal(m.job.Configuration, &m.cfg); err != nil {
		return pipeline.Result{}, refuse("the configuration of the image action cannot be read: %v", err)
	}
	if err := m.check(); err != nil {
		return pipeline.Result{}, err
	}
	if err := m.unpack(ctx); err != nil {
		return pipeline.Result{}, err
	}
	bases, images, err := m.make(ctx)
	if err != nil {
		return pipeline.Result{}, err
	}
	result, err := m.publish(ctx, images)
	if err != nil {
		return pipeline.Result{}, err
	}
	return result, m.attest(ctx, bases, images)
}

// make makes an image for each platform.
func (m *making) make(ctx context.Context) ([]base, []v1.Image, error) {
	if m.cfg.Dockerfile != "" {
		return m.buildDockerfile(ctx)
	}
	bases, err := m.bases(ctx)
	if err != nil {
		return nil, nil, err
	}
	layer, err := m.layer(ctx, bases[0])
	if err != nil {
		return nil, nil, err
	}
	m.say("layer %s: %s, %s, compressed %s", m.cfg.Path, count(layer.files, "file"), megabytes(layer.bytes), megabytes(layer.size))
	images := make([]v1.Image, len(bases))
	for i, b := range bases {
		if images[i], err = m.assemble(b, layer); err != nil {
			return nil, nil, err
		}
		if err := m.inspect(b, images[i], layer); err != nil {
			return nil, nil, err
		}
	}
	return bases, images, nil
}

// unpack writes the artifact's files into a fresh directory.
func (m *making) unpack(ctx context.Context) error {
	artifact, ok := m.job.Input(m.cfg.Artifact)
	if !ok {
		if m.cfg.Artifact == "" {
			return refuse("the image action has no artifact to put into the image; have an action before it make one, by artifacts: in its buildspec")
		}
		return refuse("the image action has no input artifact %q; it has %s", m.cfg.Artifact, inputNames(m.job))
	}
	if err := m.clean(); err != nil {
		return err
	}
	err := m.action.Artifacts.Unpack(ctx, artifact.Digest, m.files)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("artifact %s (%s) is not in the store any more; start the pipeline anew: %w", artifact.Name, artifact.Digest, err)
	}
	return err
}

func inputNames(job pipeline.Job) string {
	if len(job.Inputs) == 0 {
		return "none"
	}
	var names []string
	for _, a := range job.Inputs {
		names = append(names, strconv.Quote(a.Name))
	}
	return strings.Join(names, ", ")
}

// say adds a line to the action's log.
func (m *making) say(format string, args ...any) {
	_, _ = fmt.Fprintf(m.job.Log, format+"\n", args...) // a log that is lost is reported by its owner
}

func (m *making) progress(format string, args ...any) {
	if m.job.Progress != nil {
		m.job.Progress(fmt.Sprintf(format, args...))
	}
}

// megabytes is a size as people read it.
func megabytes(bytes int64) string {
	if bytes < 1_000_000 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// count is a number of things as people read it.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// short is a digest as people read it.
func short(digest v1.Hash) string {
	return digest.Algorithm + ":" + digest.Hex[:min(6, len(digest.Hex))] + "\u2026"
}
