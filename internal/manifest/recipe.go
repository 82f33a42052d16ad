package manifest

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

// Recipe is what a rollout needs so that it loses no request.
type Recipe struct {
	// ReadinessPath is the path of an HTTP request that says 200 to 399 only
	// when a pod can serve, such as Verify.Path. Empty means that none is
	// known: the completed probe then asks whether the port accepts
	// connections.
	ReadinessPath string
	// ReadinessService names the Service that ReadinessPath is of. Empty means
	// every Service.
	ReadinessService string
	// Detach is how long a pod that ends goes on serving, until every node and
	// load balancer has heard that it is no endpoint any more; it is the
	// deployment's propagation. Zero means what DetachOf finds for the
	// workload. Kubernetes counts whole seconds; it is rounded up.
	Detach time.Duration
	// LongestRequest is how long one request may take. Zero means
	// DefaultLongestRequest.
	LongestRequest time.Duration
	// NoSleepAction says that the cluster is older than Kubernetes 1.30 and
	// does not know lifecycle.preStop.sleep: it is then asked of the user.
	NoSleepAction bool
}

// The defaults of Recipe.
const (
	DefaultDetach         = 10 * time.Second // inside a cluster
	DefaultOutsideDetach  = 30 * time.Second // behind an ingress or a cloud's load balancer
	DefaultLongestRequest = 15 * time.Second
)

// slack is what a pod may take for itself between the last answer and its
// end; defaultGrace is what Kubernetes gives when the manifest says nothing.
const (
	slack        = 5
	defaultGrace = 30
)

func (r Recipe) detach() int64 { return seconds(r.Detach, DefaultDetach) }

// grace is the shortest termination grace period with a preStop of that many
// seconds.
func (r Recipe) grace(preStop int64) int64 {
	return preStop + seconds(r.LongestRequest, DefaultLongestRequest) + slack
}

func seconds(d, otherwise time.Duration) int64 {
	if d <= 0 {
		d = otherwise
	}
	return int64((d + time.Second - 1) / time.Second)
}

// RecipeFor is the recipe for a cluster of that version, such as "v1.34.1" or
// "v1.29.5-eks-1a2b3c". Since 1.30 every pod can be told to sleep before it
// ends. An older cluster would need a sleep command in the image, and whether
// it has one cannot be seen from outside: Complete then says for each container
// what is to be written, and changes nothing.
func RecipeFor(serverVersion string) (Recipe, error) {
	v, err := version.ParseGeneric(serverVersion)
	if err != nil {
		return Recipe{}, fmt.Errorf("read the cluster's version %q: %w", serverVersion, err)
	}
	return Recipe{NoSleepAction: v.LessThan(version.MustParseGeneric("1.30"))}, nil
}

// DetachOf is how long it may take until no request is sent any more to a pod
// of one of the workloads that has left its Services: DefaultOutsideDetach when
// a Service of type LoadBalancer, an Ingress or a Gateway API route of objs
// leads there, for these hear of it later than the nodes do, and else
// DefaultDetach.
func DetachOf(objs []Object, workloads ...Object) time.Duration {
	longest, n := DefaultDetach, neighboursOf(objs)
	for _, w := range workloads {
		longest = max(longest, n.detach(w))
	}
	return longest
}
