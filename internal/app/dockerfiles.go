package app

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/dockerfile"
	"github.com/towline/towline/internal/dockerfile/buildah"
	"github.com/towline/towline/internal/dockerfile/buildkit"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/pipeline"
)

// buildKitIdle is how long the server's own BuildKit waits for another build.
const buildKitIdle = 15 * time.Minute

// openDockerfiles prepares what builds Dockerfiles. Nothing is started before
// the first is built.
func (a *App) openDockerfiles() error {
	set := a.options.Server
	limit, err := pipeline.ParseSize(cmp.Or(set.DockerfileCache, config.Default().DockerfileCache))
	if err != nil {
		return fmt.Errorf("the cache of Dockerfile builds: %w", err)
	}
	dir, host := filepath.Join(set.Data, "dockerfiles"), a.registryHost()
	program := []string{a.options.Executable, "enclose"}
	a.buildKit = daemon.New(daemon.Config{
		Dir: filepath.Join(dir, "buildkit"), Program: program, Find: daemon.Finder{}.Find,
		CacheLimit: limit, Insecure: []string{host}, Idle: buildKitIdle, Logger: a.options.Logger,
	})
	own := &buildkit.Own{Daemon: a.buildKit}
	docker := &buildkit.Docker{Socket: buildkit.DockerSocket()}
	other := &buildah.Buildah{Dir: filepath.Join(dir, "buildah"), Program: program, CacheLimit: limit, Insecure: []string{host}}
	if err := other.Sweep(); err != nil {
		a.options.Logger.Warn("Dockerfile builds of a server that was killed have left files, secrets among them: remove them by hand", "error", err)
	}
	switch set.DockerfileBuilder {
	case config.DockerfilesNone:
	case config.DockerfilesAny, "":
		a.dockerfiles = dockerfile.NewBuilder(a.options.Logger, own, docker, other)
	case config.DockerfilesBuildKit:
		a.dockerfiles = dockerfile.NewBuilder(a.options.Logger, own)
	case config.DockerfilesDocker:
		a.dockerfiles = dockerfile.NewBuilder(a.options.Logger, docker)
	case config.DockerfilesBuildah:
		a.dockerfiles = dockerfile.NewBuilder(a.options.Logger, other)
	default:
		// Who names one has a reason not to have Dockerfiles built on this machine.
		a.dockerfiles = dockerfile.NewBuilder(a.options.Logger, &buildkit.Remote{Address: set.DockerfileBuilder, TLS: set.BuildKitTLS})
	}
	return nil
}

// imageSecrets are those that pipelines' Dockerfiles mount.
type imageSecrets struct{ secrets *secrets }

var _ image.Secrets = imageSecrets{}

// Secret is the value of a secret that is kept here, for a pipeline that may have
// it.
func (s imageSecrets) Secret(ctx context.Context, pipeline, name string) (string, error) {
	return s.secrets.Secret(ctx, build.SecretRef{Kind: build.OwnSecret, Name: name, Pipeline: pipeline})
}
