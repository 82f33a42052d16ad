package pod

import (
	"context"
	"log/slog"
	"time"

	"github.com/towline/towline/internal/build/cache"
	"github.com/towline/towline/internal/build/pod/tree"
	"github.com/towline/towline/internal/kube"
)

// Config says how builds run as Pods. Connect, Owner and one of AgentImage and
// Program are required.
type Config struct {
	// Connect returns a cluster by its name; "" is the server's own.
	Connect func(ctx context.Context, name string) (*kube.Cluster, error)
	// AgentImage is the reference, by digest, of the image that carries
	// Towline, as the cluster's nodes pull it. It is asked before each Pod.
	AgentImage func(ctx context.Context) (string, error)
	// Program is sent to each Pod through the API server instead, where no
	// registry has the image.
	Program *Program
	// Owner names this server in the labels of its Pods, as a label's value:
	// what another server has made in the same cluster is left alone.
	Owner string

	// Pull returns the file .dockerconfigjson with which a Pod may pull images
	// that ask for a password of Towline's own making, nothing when they do not.
	// It may be nil.
	Pull func(ctx context.Context, images []string) ([]byte, error)

	// Image is that of builds which name none. Without it they are errors.
	Image string
	// Namespace is that of builds which name none, default towline-builds. It is
	// made when it is missing.
	Namespace string
	// ServiceImages begins the references of databases' images, default
	// docker.io/library/: that of PostgreSQL 16 is docker.io/library/postgres:16.
	ServiceImages string
	// Unschedulable is how long a Pod may find no node, default two minutes.
	Unschedulable time.Duration
	// Starting is how long a Pod may take until its build begins, with the pull of
	// its images, default 20 minutes.
	Starting time.Duration
	// Silence is how long a Pod that runs may not answer before it counts as
	// lost, default five minutes.
	Silence time.Duration
	// Ending is how long a Pod may take to go once it is deleted, default half a
	// minute. After that its node is taken not to answer.
	Ending time.Duration
	// Young is how old a Pod must be to be swept, default a minute: a server that
	// has just died may have a request on its way.
	Young time.Duration
	// Caches is where the files are that buildspecs have kept; without a Dir
	// none are.
	Caches cache.Store
	// Limits bound the files that a build gives back.
	Limits tree.Limits
	Log    *slog.Logger
}

// The defaults of Config.
const (
	defaultNamespace     = "towline-builds"
	defaultServiceImages = "docker.io/library/"
	defaultUnschedulable = 2 * time.Minute
	defaultStarting      = 20 * time.Minute
	defaultSilence       = 5 * time.Minute
	defaultEnding        = 30 * time.Second
	defaultYoung         = time.Minute
)
