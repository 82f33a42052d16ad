package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// Runner carries builds out, by a pipeline.Build as its job's configuration. It
// is called once per build, and again with the same job after a crash; calls
// for different builds overlap. A Result says whether the user's work succeeded
// or failed; an error says that it could not be run. When ctx ends with the
// cause pipeline.ErrShutdown the build goes on without Run, for any other cause
// Run ends it.
type Runner interface {
	Run(ctx context.Context, job pipeline.Job) (pipeline.Result, error)
}

// Sources fetch what builds begin with. Calls overlap.
type Sources interface {
	// Fetch stores the files of a source, at a version of it or as it is now, as
	// an artifact. Error says what the user can mend, an *Error. Fetching the
	// same again does no harm.
	Fetch(ctx context.Context, f Fetch) (Fetched, error)
}

// Fetch asks for a source.
type Fetch struct {
	Source  Source
	Version string // branch, tag, commit or version of an object; "" for what is newest
	// Dir is a directory that is empty or has what an earlier call has left.
	Dir string
	Log io.Writer
}

// Fetched is what there is of a source.
type Fetched struct {
	Artifact pipeline.Artifact // its name is not used
	Resolved string            // the version: a commit, or that of an object
	Revision pipeline.Revision // of a git repository
}

// Buckets take the artifacts of builds.
type Buckets interface {
	// Deliver puts the archive of an artifact at bucket/key, or with unpacked
	// its files below that. An *Error is the user's to mend. Delivering the same
	// again does no harm.
	Deliver(ctx context.Context, artifact pipeline.Artifact, bucket, key string, unpacked bool) error
}

// Config is what a Builder needs.
type Config struct {
	Store *store.DB
	// Runner is what carries out the builds of a project.
	Runner  func(project string) Runner
	Sources Sources
	// Buckets may be nil: builds of projects whose artifacts go to S3 then fail,
	// and say so.
	Buckets Buckets
	// Dir is the server's data directory.
	Dir string
	// OpenLog opens the log file of a build for appending.
	OpenLog func(path string) (io.WriteCloser, error)
	// Queue lets builds begin; nil makes one for the machine's cores.
	Queue *Queue
	// Compute is where builds run: pipeline.ComputeHost, also when it is "", or
	// pipeline.ComputePod.
	Compute string
	// Account stands in the names of AWS's form: 12 digits.
	Account string
	Now     func() time.Time
	Logger  *slog.Logger
}

// Builder keeps the projects of one server and runs their builds. It is safe
// for concurrent use.
type Builder struct {
	Config

	began time.Time // this server

	mu      sync.Mutex
	running map[string]*handle // by id: those that wait or run
	closed  bool
	work    sync.WaitGroup
}

// handle ends a build. It tells one run of a batch from the next, which has its
// id and may begin before the last one has let go.
type handle struct{ cancel context.CancelCauseFunc }

// mostUnended bounds how many builds wait and run on one server.
const mostUnended = 2000

// errStopped ends a build because somebody wants it to.
var errStopped = errors.New("the build was stopped")

// New makes a Builder. It runs nothing of what an earlier process left before
// Resume.
func New(config Config) *Builder {
	config.Compute = cmp.Or(config.Compute, pipeline.ComputeHost)
	if config.Queue == nil {
		config.Queue = NewQueue(runtime.NumCPU())
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	return &Builder{Config: config, began: config.Now(), running: map[string]*handle{}}
}

// Resume takes up the builds that an earlier process left, those that ran before
// those that waited.
func (r *Builder) Resume(ctx context.Context) error {
	unended, err := r.Store.Unended(ctx)
	if err != nil {
		return err
	}
	var waited []Build
	for _, stored := range unended {
		b, err := read(stored)
		switch {
		case err != nil:
			return err
		case b.Action != nil || b.PartOf != "":
			// The engine gives the action again, and with it this build; so does a
			// batch with its builds.
		case b.Running.IsZero():
			waited = append(waited, b)
		default:
			r.launch(b)
		}
	}
	for _, b := range waited {
		r.launch(b)
	}
	return nil
}

// Shutdown takes no more builds and leaves those that run, so that they are
// taken up at the next start. It waits for that, at most so long.
func (r *Builder) Shutdown(within time.Duration) error {
	r.mu.Lock()
	r.closed = true
	for _, h := range r.running {
		h.cancel(pipeline.ErrShutdown)
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(within):
		return fmt.Errorf("leave the builds that run: they do not let go within %s", within)
	}
}

// closing tells whether the server stops.
func (r *Builder) closing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// launch has a build wait for its turn and run, without waiting for it.
func (r *Builder) launch(b Build) {
	ctx, forget, ok := r.enlist(context.Background(), b)
	if !ok {
		return // it is taken up at the next start
	}
	turn := r.turn(b)
	r.work.Go(func() {
		defer forget()
		defer turn.Leave()
		r.attend(ctx, b, turn)
	})
}

// enlist makes a build known as one that can be stopped, until forget is called.
// It is not ok when the server stops.
func (r *Builder) enlist(parent context.Context, b Build) (ctx context.Context, forget func(), ok bool) {
	ctx, cancel := context.WithCancelCause(parent)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		cancel(pipeline.ErrShutdown)
		return ctx, func() {}, false
	}
	if b.Stopping {
		cancel(errStopped)
	}
	own := &handle{cancel}
	r.running[b.ID] = own
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.running[b.ID] == own {
			delete(r.running, b.ID)
		}
		cancel(nil)
	}, true
}

// turn is a build's place in the queue. A batch takes none: its builds do.
func (r *Builder) turn(b Build) *Turn {
	if b.Batch != nil {
		return r.Queue.Pass()
	}
	return r.Queue.Join(Place{Project: b.Project, Limit: b.Definition.Limit, Host: r.Compute == pipeline.ComputeHost})
}

// LogFile is where the log of a build is. The file appears when the build stops
// waiting.
func (r *Builder) LogFile(b Build) string {
	if b.Action == nil {
		return filepath.Join(r.Dir, "projects", "logs", b.Project, b.UUID()+".log")
	}
	if filepath.IsAbs(b.Action.LogFile) {
		return b.Action.LogFile
	}
	return filepath.Join(r.Dir, b.Action.LogFile)
}

// workDir is the directory of one run of a build. A batch that is run again has
// another one: in the last might lie what its builds have come to, and it might
// just be removed.
func (r *Builder) workDir(b Build) string {
	name := b.UUID()
	if b.Rerun > 0 {
		name = fmt.Sprintf("%s-%d", name, b.Rerun)
	}
	return filepath.Join(r.Dir, "projects", "work", name)
}

// UUID is the part of the build's id behind its project.
func (b Build) UUID() string {
	_, uuid, _ := strings.Cut(b.ID, ":")
	return uuid
}

// save keeps what has become of a build. That somebody wants it to end is never
// forgotten, nor what its groups are, which are kept by the parts of a batch.
func (r *Builder) save(ctx context.Context, b Build) error {
	return r.change(context.WithoutCancel(ctx), b.ID, func(kept *Build) bool {
		b.Stopping, b.Groups = b.Stopping || kept.Stopping, kept.Groups
		*kept = b
		return true
	})
}
