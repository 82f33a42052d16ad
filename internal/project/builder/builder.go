// Package builder keeps projects and carries out their builds: its noun is the
// Builder of one server. It stands beside the engine, which walks pipelines: a
// build is started by a person, by AWS's clients or by an action of a pipeline,
// waits in the queue until there is room, has its source fetched, is run by a
// Runner, as a build in a pipeline is, and hands on what it has made; after a
// crash it is taken up where it is. It knows neither how a build runs, nor where
// sources come from and files go to: who puts the server together gives it what
// does.
package builder

import (
	"cmp"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project/queue"
	"github.com/towline/towline/internal/project/reports"
	"github.com/towline/towline/internal/store"
)

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
	Queue *queue.Queue
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

	// Reports keeps what the tests of builds have said.
	Reports *reports.Shelf

	began time.Time // this server

	mu      sync.Mutex
	running map[string]*handle // by id: those that wait or run
	closed  bool
	work    sync.WaitGroup
}

// New makes a Builder. It runs nothing of what an earlier process left before
// Resume.
func New(config Config) *Builder {
	config.Compute = cmp.Or(config.Compute, pipeline.ComputeHost)
	if config.Queue == nil {
		config.Queue = queue.New(runtime.NumCPU())
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	shelf := &reports.Shelf{Store: config.Store, Now: config.Now}
	return &Builder{Config: config, Reports: shelf, began: config.Now(), running: map[string]*handle{}}
}
