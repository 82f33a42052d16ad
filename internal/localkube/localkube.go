// Package localkube starts, watches and stops a real Kubernetes on this
// machine: etcd, the Kubernetes components, containerd and CoreDNS as plain
// processes, with each node in a network namespace of its own. Everything is
// compiled from Go modules (the localkube/ directory of the source tree), so
// nothing is downloaded but modules.
//
// Its noun is the Cluster. Up and Down are called by a command that ends;
// between them a detached supervisor process, whose body is Supervise, keeps
// the components running. What is wanted is written down in the state
// directory, so that Up repairs and Down removes a cluster in any condition.
//
// The package must not know what runs on the cluster. Other rooms get a
// kubeconfig and the host's address, as they would from any other cluster.
package localkube

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/towline/towline/internal/checkout"
)

// DefaultName is the name of the cluster that commands mean when none is given.
const DefaultName = "towline"

// defaultRoot is where clusters' state directories are by default.
const defaultRoot = "/var/lib/towline/clusters"

// maxNodes bounds the nodes of one cluster: each takes 330 MB of memory.
const maxNodes = 20

// Config says which cluster, and where its files go.
type Config struct {
	// Name distinguishes clusters on one machine: a DNS label of at most 16
	// characters. Default: DefaultName.
	Name string
	// Dir is the state directory. Default: /var/lib/towline/clusters/NAME.
	Dir string
	// Cache is the directory under which compiled binaries are kept.
	// Default: towline in the user's cache directory. Only Up and Build use it.
	Cache string
	// Source is the localkube directory of Towline's source tree. Default:
	// found by package checkout. Only Up and Build read it.
	Source string
	// Nodes is how many nodes Up makes sure of. 0 gives a control plane only.
	// A cluster is never made smaller by Up.
	Nodes int
	// Supervisor is the command line of a process that calls Supervise on a
	// Cluster of the same Name and Dir. Only Up needs it.
	Supervisor []string
	// Logger gets what an operator would want to know. Default: discarded.
	Logger *slog.Logger
	// Progress gets one line at a time for a person who waits for Up or Down.
	// Default: discarded.
	Progress func(line string)
}

// Cluster is a handle on a local Kubernetes, which may or may not be up. Its
// methods may be called from several processes at once.
type Cluster struct {
	config Config
	paths  paths
}

// Error is a problem that the user can mend.
type Error struct {
	Message string // what is wrong, and where
	Hint    string // the way to mend it
	Err     error  // the cause, or nil
}

func (e *Error) Error() string {
	text := e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrNotUp is wrapped by methods that need a cluster which was brought up.
var ErrNotUp = errors.New("the cluster is not up")

var nameForm = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,14}[a-z0-9])?$`)

// New checks the configuration and fills in its defaults. It touches nothing.
func New(config Config) (*Cluster, error) {
	config.Name = cmp.Or(config.Name, DefaultName)
	if !nameForm.MatchString(config.Name) {
		return nil, &Error{
			Message: fmt.Sprintf("cluster name %q is not a DNS label of at most 16 characters", config.Name),
			Hint:    "use lower-case letters, digits and hyphens, beginning with a letter",
		}
	}
	if config.Nodes < 0 || config.Nodes > maxNodes {
		return nil, &Error{
			Message: fmt.Sprintf("a local cluster of %d nodes is not possible", config.Nodes),
			Hint:    fmt.Sprintf("ask for 0 to %d nodes", maxNodes),
		}
	}
	config.Dir = cmp.Or(config.Dir, filepath.Join(defaultRoot, config.Name))
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the cluster's directory: %w", err)
	}
	config.Dir = dir
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Progress == nil {
		config.Progress = func(string) {}
	}
	return &Cluster{config: config, paths: newPaths(config.Name, config.Dir)}, nil
}

// source returns the localkube directory of the source tree.
func (c *Cluster) source() (string, error) {
	if c.config.Source != "" {
		return c.config.Source, nil
	}
	tree, err := checkout.Dir()
	if err != nil {
		return "", fmt.Errorf("find the sources of the local cluster: %w", err)
	}
	return filepath.Join(tree, "localkube"), nil
}

// cache returns the directory that keeps compiled binaries. It is looked up
// late, because a service manager starts programs without a home directory.
func (c *Cluster) cache() (string, error) {
	if c.config.Cache != "" {
		return c.config.Cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", &Error{Message: "there is no cache directory for compiled binaries", Hint: "set HOME or XDG_CACHE_HOME", Err: err}
	}
	return filepath.Join(dir, "towline"), nil
}

// Kubeconfig returns the path of the administrator's kubeconfig, whose only
// context has the cluster's name. The file exists once Up has returned.
func (c *Cluster) Kubeconfig() string { return c.paths.kubeconfig("admin") }

// HostAddress returns the address of this machine on the cluster's network:
// what pods and nodes reach a server on this machine by.
func (c *Cluster) HostAddress() (string, error) {
	s, err := c.readState()
	if err != nil {
		return "", err
	}
	return newLayout(s.Slot).host().String(), nil
}

// NodeAddresses returns the addresses of the nodes, node 1 first. This machine
// reaches NodePorts there.
func (c *Cluster) NodeAddresses() ([]string, error) {
	s, err := c.readState()
	if err != nil {
		return nil, err
	}
	var addresses []string
	for n := 1; n <= s.Nodes; n++ {
		addresses = append(addresses, newLayout(s.Slot).node(n).String())
	}
	return addresses, nil
}
