// Package registry keeps images: an OCI registry under /v2/, with the CNCF
// distribution in the middle and, around it, what a server needs that it lacks:
// an access check per repository, the referrers API, and answers to a full disk
// that say so.
//
// Images stand between artifact and release: the image action pushes here, the
// cluster's nodes pull from here by digest. The registry knows repositories,
// blobs and manifests of OCI; it must not know pipelines, users or tokens: who
// may do what is a function that it is given.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// Config is what a registry needs.
type Config struct {
	// Dir holds everything. It is created when it is missing, and belongs to
	// one registry at a time.
	Dir string

	// Authorize tells whether a request may read a repository, or with push
	// also write it. The repository is empty for /v2/ itself, which clients
	// ask for to learn whether they are signed in, and for the catalog, which
	// names all repositories. It is called for each request, concurrently, but
	// for those with a pull token of the registry's own: see PullToken.
	Authorize func(r *http.Request, repository string, push bool) bool

	// Logger gets the inner registry's own talk at debug level and its faults
	// at error level. Nil discards.
	Logger *slog.Logger
}

// Registry is an http.Handler for paths below /v2/.
type Registry struct {
	dir       string
	authorize func(r *http.Request, repository string, push bool) bool
	log       *slog.Logger
	app       *handlers.App
	referrers *referrers
	pullKeys  pullKeys
	fullAt    atomic.Int64 // when the disk was last found full, in Unix nanoseconds
	id        string       // of this registry among those of the process, in the inner log
	cancel    context.CancelFunc
	tasks     sync.WaitGroup
}

var _ http.Handler = (*Registry)(nil)

// New opens the registry in cfg.Dir.
func New(cfg Config) (*Registry, error) {
	if cfg.Authorize == nil {
		return nil, errors.New("open registry: no function decides who may read and write")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	keys, err := openPullKeys(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	refs, err := openReferrers(filepath.Join(cfg.Dir, "referrers"))
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Registry{
		dir:       cfg.Dir,
		authorize: cfg.Authorize,
		log:       cfg.Logger,
		referrers: refs,
		pullKeys:  keys,
		id:        rand.Text(),
		cancel:    cancel,
	}
	ctx = r.redirectLog(ctx)
	if r.app, err = newApp(ctx, cfg.Dir); err != nil {
		cancel()
		return nil, fmt.Errorf("open registry %s: %w", cfg.Dir, err)
	}
	r.tasks.Go(func() { r.purge(ctx) })
	return r, nil
}

// Close ends the registry's own work. Requests must have ended before.
func (r *Registry) Close() error {
	r.cancel()
	r.tasks.Wait()
	return errors.Join(r.app.Shutdown(), r.referrers.root.Close())
}

// newApp configures the inner registry. It panics on what it does not like,
// which here can only be a directory that it cannot use.
func newApp(ctx context.Context, dir string) (app *handlers.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	cfg := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem": {"rootdirectory": dir},
		"delete":     {"enabled": true},
		// Its purger cannot be waited for when it should end; purge can.
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	// Uploads do not outlive the process, so neither does the key that signs
	// their state.
	cfg.HTTP.Secret = rand.Text()
	// The host that a request names may not be the one that its client sees.
	cfg.HTTP.RelativeURLs = true
	cfg.Log.AccessLog.Disabled = true
	cfg.Catalog.MaxEntries = 1000
	// OCI permits an index whose images come later, and layers with URLs.
	cfg.Validation.Manifests.Indexes.Platforms = "none"
	cfg.Validation.Manifests.URLs.Allow = []string{"^https?://"}
	return handlers.NewApp(ctx, cfg), nil
}

// abandoned is the age at which an upload has no client any more.
const abandoned = 24 * time.Hour

// purge removes once a day what interrupted uploads left on the disk.
func (r *Registry) purge(ctx context.Context) {
	tick := time.NewTicker(abandoned)
	defer tick.Stop()
	for {
		r.purgeOnce(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Registry) purgeOnce(ctx context.Context) {
	driver := filesystem.New(filesystem.DriverParameters{RootDirectory: r.dir, MaxThreads: 25})
	if _, err := driver.Stat(ctx, "/docker/registry/v2/repositories"); err != nil {
		return // nothing was ever pushed
	}
	removed, errs := storage.PurgeUploads(ctx, driver, time.Now().Add(-abandoned), true)
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "remove abandoned uploads", "error", err)
	}
	if len(removed) > 0 {
		r.log.InfoContext(ctx, "removed abandoned uploads", "uploads", len(removed))
	}
}
