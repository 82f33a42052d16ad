package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/pipeline"
)

// podBackend runs builds as Pods of the clusters that this server knows.
func (a *App) podBackend() (*pod.Backend, error) {
	config := pod.Config{
		Connect: a.clusters.Connect, AgentImage: a.agentImage, Owner: a.owner(), Image: a.options.Server.BuildImage,
		ServiceImages: a.options.Server.ServiceImages, Caches: a.host.Caches(), Log: a.options.Logger,
	}
	if a.options.Server.Registry == "" {
		config.Pull = a.pullForBuilds
	}
	return pod.New(config)
}

// owner names this server in clusters that others use as well: for as long as
// its data directory lives, and without giving away what is in there.
func (a *App) owner() string {
	sum := sha256.Sum256([]byte("builds of the server with the token " + a.tokens.Admin))
	return hex.EncodeToString(sum[:8])
}

// pullForBuilds is what a Pod pulls those images with that the embedded registry
// has.
func (a *App) pullForBuilds(_ context.Context, images []string) ([]byte, error) {
	host := a.registryHost()
	var repositories []string
	for _, image := range images {
		if rest, ours := strings.CutPrefix(image, host+"/"); ours {
			rest, _, _ = strings.Cut(rest, "@")
			rest, _, _ = strings.Cut(rest, ":")
			repositories = append(repositories, rest)
		}
	}
	if len(repositories) == 0 {
		return nil, nil
	}
	password, err := a.registry.PullToken(repositories...)
	if err != nil {
		return nil, err
	}
	type auth struct {
		Auth string `json:"auth"`
	}
	return json.Marshal(map[string]map[string]auth{"auths": {host: {base64.StdEncoding.EncodeToString([]byte("towline:" + password))}}})
}

// kubeconfigs are the credentials that the commands of builds get for clusters.
type kubeconfigs struct{ clusters *clusters }

var _ build.Kubeconfigs = kubeconfigs{}

// Kubeconfig asks the cluster for a token of the service account.
func (k kubeconfigs) Kubeconfig(ctx context.Context, want pipeline.Kubeconfig, lasting time.Duration) ([]byte, error) {
	cluster, err := k.clusters.Connect(ctx, want.Cluster)
	if err != nil {
		return nil, err
	}
	return cluster.AccountKubeconfig(ctx, kube.Account{Namespace: want.Namespace, Name: want.ServiceAccount}, lasting)
}

// sweepBuilds deletes the Pods of builds that this server has begun and that
// nobody carries on, in the places that its pipelines name. A cluster that
// cannot be asked now is asked at the next start.
func (a *App) sweepBuilds(ctx context.Context) {
	live, err := a.liveBuilds(ctx)
	if err != nil {
		a.options.Logger.WarnContext(ctx, "look for Pods that builds have left", "error", err)
		return
	}
	places, err := a.buildPlaces(ctx)
	if err != nil {
		a.options.Logger.WarnContext(ctx, "look for Pods that builds have left", "error", err)
		return
	}
	for place := range places {
		if _, err := a.pods.Sweep(ctx, place, live); err != nil && ctx.Err() == nil {
			a.options.Logger.WarnContext(ctx, "look for Pods that builds have left", "cluster", place.Cluster, "error", err)
		}
	}
}

// liveBuilds tells by a build's key whether its execution, or that of a project,
// has not ended.
func (a *App) liveBuilds(ctx context.Context) (func(key string) bool, error) {
	executions, err := a.store.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	builds, err := a.store.Unended(ctx)
	if err != nil {
		return nil, err
	}
	var begins []string
	for _, e := range executions {
		begins = append(begins, e.ID+".")
	}
	for _, b := range builds {
		begins = append(begins, b.ID[strings.LastIndexByte(b.ID, ':')+1:]+".")
	}
	return func(key string) bool {
		return slices.ContainsFunc(begins, func(of string) bool { return strings.HasPrefix(key, of) })
	}, nil
}

// buildPlaces are the clusters and namespaces in which pipelines have builds run.
func (a *App) buildPlaces(ctx context.Context) (map[pod.Place]bool, error) {
	all, err := a.store.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	places := map[pod.Place]bool{}
	for _, d := range all {
		for _, stage := range d.Pipeline.Stages {
			for _, action := range stage.Actions {
				var config pipeline.Build
				if action.Type.Provider != "Buildspec" || json.Unmarshal(action.Configuration, &config) != nil {
					continue
				}
				if config.Pod != nil {
					places[pod.Place{Cluster: config.Pod.Cluster, Namespace: config.Pod.Namespace}] = true
				} else if config.Compute == pipeline.ComputePod {
					places[pod.Place{}] = true
				}
			}
		}
	}
	return places, nil
}
