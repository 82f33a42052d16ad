package app

import (
	"context"
	"errors"

	"github.com/towline/towline/internal/agent"
	"github.com/towline/towline/internal/deploy"
	"github.com/towline/towline/internal/manifest/renderer"
	"github.com/towline/towline/internal/source"
)

// agentRepository is where the image for Towline's own pods goes.
const agentRepository = "towline/agent"

// deployments is what deployments are made with. Pods pull from the embedded
// registry with a password of their own; of other registries the manifests
// know.
func (a *App) deployments() deploy.Config {
	config := deploy.Config{AgentImage: a.agentImage, Charts: renderer.Renderer{Command: []string{a.options.Executable, "render-chart"}}}
	if a.options.Server.Registry == "" {
		config.Pull = deploy.PullSource{Host: a.registryHost(), Password: a.registry.PullToken}
	}
	return config
}

// agentImage sees to it that the registry that the clusters pull from has the
// image of the agent.
func (a *App) agentImage(ctx context.Context) (string, error) {
	registry := a.imageRegistry()
	return agent.Publish(ctx, agent.Target{Reference: registry.Host + "/" + agentRepository, Insecure: registry.Insecure, Auth: registry.Auth})
}

// ancestry compares two commits of a repository of the git server.
func (a *App) ancestry(ctx context.Context, repository, older, newer string) (known, ancestor bool, err error) {
	ancestor, err = a.repositories.IsAncestor(ctx, repository, older, newer)
	if errors.Is(err, source.ErrNoRevision) || errors.Is(err, source.ErrInvalid) {
		return false, false, nil
	}
	return err == nil, ancestor, err
}
