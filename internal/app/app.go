// Package app introduces the rooms to each other: it is the one place where a
// server is put together and taken apart again. It makes no decisions of its
// own, but for what a push leads to (push.go).
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/s3"
	"github.com/towline/towline/internal/build/host"
	"github.com/towline/towline/internal/build/pod"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/dockerfile/daemon"
	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/image"
	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/registry"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/rounds"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// stopWithin is how long a stopping server waits for requests and for actions
// to let go.
const stopWithin = 20 * time.Second

// Nodes is a cluster on this machine whose nodes pull from the embedded
// registry.
type Nodes interface {
	// HostAddress is this machine's address on the cluster's network.
	HostAddress() (string, error)
	// TrustRegistry makes the nodes pull images named host/... from url, with
	// that Authorization header when it is not "".
	TrustRegistry(ctx context.Context, host, url, authorization string) error
}

// Options are what a server gets from the program that runs it.
type Options struct {
	Server  config.Server
	Version string
	// Executable is the program whose hidden commands are the git hook and
	// the build runner.
	Executable string
	// Nodes may be nil.
	Nodes  Nodes
	Logger *slog.Logger
}

// App is one server, put together.
type App struct {
	options Options
	lock    *os.File
	tokens  config.Tokens

	store         *store.DB
	artifacts     *artifact.Store
	repositories  *source.Repositories
	registry      *registry.Registry
	buildKit      *daemon.Daemon
	dockerfiles   image.Builder // nil when none are built
	clusters      *clusters
	accessKeys    *accessKeys
	secrets       *secrets
	attestKeys    *attestKeys
	notifier      *notify.Notifier
	mirrors       *mirrors
	pullRequests  *rounds.Rounds
	sourceMirrors *sourceMirrors
	objects       source.ObjectAction
	s3            *s3.Handler
	host          *host.Backend
	pods          *pod.Backend
	functions     *functions
	builder       *builder.Builder
	engine        *engine.Engine
	server        *server.Server
	background    sync.WaitGroup
}

// Open takes the data directory and the addresses and prepares all rooms.
// Nothing runs until Start. What it took is given back when it fails.
func Open(ctx context.Context, options Options) (*App, error) {
	if err := options.Server.Validate(); err != nil {
		return nil, err
	}
	a := &App{options: options}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	data := a.options.Server.Data
	// The user of a build goes through this directory to its own; the rest in
	// it is closed to others one by one.
	if err := os.MkdirAll(data, 0o711); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	var err error
	if a.lock, err = lock(data); err != nil {
		return err
	}
	if a.tokens, err = config.MakeTokens(data); err != nil {
		return err
	}
	if a.store, err = store.Open(ctx, data); err != nil {
		return err
	}
	keys, err := secret.Open(filepath.Join(data, "keys"))
	if err != nil {
		return err
	}
	a.clusters = &clusters{store: a.store, keys: keys, kubeconfig: a.options.Server.Kubeconfig, open: map[string]opened{}}
	a.accessKeys = &accessKeys{store: a.store, keys: keys, now: time.Now, open: map[string]openKey{}}
	a.secrets = a.newSecrets(keys)
	a.attestKeys = &attestKeys{store: a.store, keys: keys, now: time.Now}
	a.notifier = a.newNotifier(keys)
	if a.artifacts, err = artifact.Open(ctx, filepath.Join(data, "artifacts")); err != nil {
		return err
	}
	if a.objects, err = openObjects(ctx, a.artifacts); err != nil {
		return err
	}
	if err := a.openS3(ctx); err != nil {
		return err
	}
	if err := a.openRepositories(ctx, keys); err != nil {
		return err
	}
	a.registry, err = registry.New(registry.Config{
		Dir: filepath.Join(data, "registry"), Authorize: server.RegistryAccess(a.tokens), Logger: a.options.Logger,
	})
	if err != nil {
		return err
	}
	if a.host, err = a.hostBackend(); err != nil {
		return err
	}
	if a.pods, err = a.podBackend(); err != nil {
		return err
	}
	if a.functions, err = a.openFunctions(keys); err != nil {
		return err
	}
	a.builder = a.newBuilder(func(project string) builder.Runner { return a.builds(project) })
	if err := a.openEngine(ctx); err != nil {
		return err
	}
	if err := a.openServer(); err != nil {
		return err
	}
	return a.openDockerfiles()
}

// openEngine opens the engine with all actions that there are.
func (a *App) openEngine(ctx context.Context) (err error) {
	// The actions are looked up when the first one runs: they need to know the
	// port that the server got.
	actions := sync.OnceValue(a.actions)
	a.engine, err = engine.New(ctx, engine.Config{
		Store: a.store, Dir: a.options.Server.Data, Now: time.Now, Logger: a.options.Logger,
		Action: func(t pipeline.ActionType) (engine.Action, bool) {
			action, ok := actions()[kind{t.Category, t.Provider}]
			return action, ok
		},
		OpenLog: func(path string) (io.WriteCloser, error) { return report.OpenLog(path) },
	})
	return err
}

// openRepositories opens those that are pushed to, and the mirrors of others.
func (a *App) openRepositories(ctx context.Context, keys *secret.Keyring) (err error) {
	a.repositories, err = source.New(ctx, source.Config{
		Dir: filepath.Join(a.options.Server.Data, "git"), Hook: []string{a.options.Executable, "hook", "post-receive"},
		CreateHint: "create it with: towline repository create NAME", Logger: a.options.Logger,
	})
	if err != nil {
		return err
	}
	a.mirrors = &mirrors{store: a.store, keys: keys, repositories: a.repositories, moved: a.movedElsewhere, now: time.Now, quiet: map[string]time.Time{}}
	a.mirrors.poller = source.NewPoller(source.PollConfig{
		Update: a.repositories.UpdateMirror, Mirrors: a.mirrors, Moved: a.movedElsewhere, Logger: a.options.Logger,
	})
	a.pullRequests, a.sourceMirrors = a.newPullRequests(), newSourceMirrors(a.mirrors, a.options.Logger)
	return nil
}

func (a *App) openServer() error {
	listen := a.options.Server.Listen
	if a.options.Nodes != nil {
		address, err := a.nodesAddress()
		if err != nil {
			return err
		}
		listen = append(slices.Clip(listen), address)
	}
	aws, err := a.awsHandler()
	if err != nil {
		return err
	}
	a.server, err = server.New(server.Config{
		Listen: listen, URL: a.options.Server.URL, Engine: a.engine, Run: a.run, Store: a.store, Repositories: a.repositories, Registry: a.registry,
		Clusters: a.sealed(), Notifications: a.notifier, AccessKeys: a.accessKeys, SignIns: signIns{a.store, a.accessKeys, a.tokens.Admin, time.Now}, Secrets: a.secrets, AttestKeys: a.attestKeys, SecretMember: secretMembers(a.store), Functions: a.functions, Lambda: a.lambda(), Builder: a.builder, AWS: aws, S3: a.s3, Mirrors: a.mirrors, Hooks: a.hooks(),
		Dashboard: a.dashboard, Tokens: a.tokens, Version: a.options.Version, Logger: a.options.Logger,
	})
	return err
}

// Start serves, resumes what was unfinished and acts on pushes that came in
// while nobody listened. What it leaves in the background ends with ctx.
func (a *App) Start(ctx context.Context) error {
	if err := a.repositories.Start(a.pushed); err != nil {
		return err
	}
	if err := a.engine.Start(ctx); err != nil {
		return err
	}
	if err := a.builder.Resume(ctx); err != nil {
		return err
	}
	a.notifier.Start(ctx)
	a.server.Start(ctx)
	if err := a.trustNodes(ctx); err != nil {
		// Deployments elsewhere work all the same.
		a.options.Logger.Warn("let the local cluster's nodes pull from the registry", "error", err)
	}
	if err := config.WriteEndpoint(a.options.Server.Data, config.Endpoint{URL: a.URL(), PID: os.Getpid()}); err != nil {
		return err
	}
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	// A push may outlive the server that it was made to, and reach the
	// repository after the next one's first look.
	a.background.Go(func() { a.keep(ctx, catchUpEvery, "look for missed pushes", a.catchUp) })
	a.background.Go(func() { a.mirrors.poller.Poll(ctx) })
	a.background.Go(func() { a.pullRequests.Walk(ctx) })
	a.background.Go(func() { a.sourceMirrors.rounds.Walk(ctx) })
	a.background.Go(func() {
		a.keep(ctx, scheduleEvery, "look at schedules", func(ctx context.Context) error { return a.schedule(ctx, time.Now()) })
	})
	a.background.Go(func() { a.newStatuses().Walk(ctx) })
	a.background.Go(func() { a.watchSources(ctx) })
	a.background.Go(func() { a.sweepBuilds(ctx) })
	return nil
}

// URL is where clients on this machine reach the server.
func (a *App) URL() string { return config.URL(a.server.Address()) }

// PublicURL is where others reach the server.
func (a *App) PublicURL() string {
	return strings.TrimSuffix(cmp.Or(a.options.Server.URL, a.URL()), "/")
}

// Stop takes no more work, interrupts what runs so that it goes on at the next
// start, and gives everything back. The context of Start has ended before.
func (a *App) Stop(ctx context.Context) error {
	a.background.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	// What changes from here on is told after the next start.
	a.notifier.Stop()
	return errors.Join(
		a.server.Stop(ctx),
		a.repositories.Stop(ctx),
		a.engine.Stop(stopWithin),
		a.builder.Shutdown(stopWithin),
		a.close(),
	)
}

func (a *App) close() error {
	var errs []error
	if a.buildKit != nil {
		a.buildKit.Close()
	}
	if a.registry != nil {
		errs = append(errs, a.registry.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
