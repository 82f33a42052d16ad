package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// openObjects is the source of objects in S3, or in a server that speaks its
// protocol at AWS_ENDPOINT_URL_S3, with AWS's usual credentials.
func openObjects(ctx context.Context, artifacts source.Archives) (source.ObjectAction, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return source.ObjectAction{}, fmt.Errorf("read AWS's configuration: %w", err)
	}
	return source.ObjectAction{Objects: source.NewS3(cfg, os.Getenv("AWS_ENDPOINT_URL_S3")), Artifacts: artifacts}, nil
}

// images is the source of images, in the embedded registry or any other.
func (a *App) images() source.ImageAction {
	registry := a.imageRegistry()
	return source.ImageAction{Artifacts: a.artifacts, Host: registry.Host, Insecure: registry.Insecure, Keychain: registryKeys{registry.Host, registry.Auth}}
}

// registryKeys are the credentials of one registry, and docker login's of the
// others.
type registryKeys struct {
	host string
	auth authn.Authenticator
}

// Resolve finds the credentials of a registry.
func (k registryKeys) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if k.auth != nil && target.RegistryStr() == k.host {
		return k.auth, nil
	}
	return authn.DefaultKeychain.Resolve(target)
}

// sourceKey tells the source actions of all pipelines from each other.
func sourceKey(name, action string) string { return name + "/" + action }

// watchSources looks at objects and images that pipelines begin with, until ctx
// ends, and starts an execution when one has changed.
func (a *App) watchSources(ctx context.Context) {
	images := a.images()
	source.NewWatcher(source.WatchConfig{
		Sources: func(ctx context.Context) ([]source.Watched, error) {
			definitions, err := a.store.Pipelines(ctx)
			var watched []source.Watched
			for _, d := range definitions {
				for _, action := range sourcesOf(d.Pipeline) {
					if newest := newestOf(action, a.objects, images); newest != nil {
						watched = append(watched, source.Watched{Key: sourceKey(d.Pipeline.Name, action.Name), Interval: source.DefaultInterval, Newest: newest})
					}
				}
			}
			return watched, err
		},
		Found: a.sourceChanged, Logger: a.options.Logger,
	}).Watch(ctx)
}

// newestOf asks for the newest version of a source that tells nobody when it
// changes, nil for other sources.
func newestOf(action pipeline.Action, objects source.ObjectAction, images source.ImageAction) func(context.Context) (string, error) {
	switch action.Type.Provider {
	case "S3":
		return func(ctx context.Context) (string, error) {
			var c source.ObjectConfiguration
			if err := json.Unmarshal(action.Configuration, &c); err != nil {
				return "", err
			}
			version, err := objects.Newest(ctx, c)
			return version.String(), err
		}
	case "Image", "ECR":
		return func(ctx context.Context) (string, error) {
			var c source.ImageConfiguration
			if err := json.Unmarshal(action.Configuration, &c); err != nil {
				return "", err
			}
			return images.Newest(ctx, c)
		}
	}
	return nil
}

// sourceChanged starts an execution for a version that has not been acted on.
// An image is named by its digest, so that a retry takes the same one; an
// object is taken as it is when the action runs, for its bucket may keep no
// versions.
func (a *App) sourceChanged(ctx context.Context, key, version string) error {
	definitions, err := a.store.Pipelines(ctx)
	if err != nil {
		return err
	}
	for _, d := range definitions {
		for _, action := range sourcesOf(d.Pipeline) {
			if sourceKey(d.Pipeline.Name, action.Name) != key {
				continue
			}
			request := engine.StartRequest{
				Pipeline: d.Pipeline.Name, Trigger: pipeline.Trigger{Type: pipeline.TriggerPoll, Detail: action.Name + " " + version},
				Also: func(ctx context.Context, q store.Querier) error {
					seen, err := store.GetHead(ctx, q, key, "")
					if err != nil {
						return err
					}
					if seen == version {
						return errSeen
					}
					return store.SetHead(ctx, q, store.Head{Repository: key, Commit: version})
				},
			}
			if action.Type.Provider != "S3" {
				request.Overrides = []pipeline.Override{{Action: action.Name, Type: pipeline.OverrideImage, Value: version}}
			}
			if _, err := a.engine.StartExecution(ctx, request); !errors.Is(err, errSeen) {
				return err
			}
		}
	}
	return nil
}
