package invariant

import (
	"time"

	"github.com/towline/towline/internal/kube"
)

// Baseline is what the invariants are measured by.
type Baseline struct {
	Revision int // the sequence of this deployment
	// DetachFirst says that pods leave the data plane before they are told to
	// end (immutable, blue-green), and not while they are (rolling).
	DetachFirst bool
	Propagation time.Duration
	OthersOnly  bool // only I4 is judged
}

// View is one moment of what the invariants are about.
type View struct {
	Now      time.Time
	Services []Service
	Pods     []Pod
	Fenced   []Fenced
	Scaled   []Scaled
}

// Service is an active Service at one moment.
type Service struct {
	Name     string
	Gone     bool // it was there before
	Selector map[string]string
	// Foreign names who gave the Service its selector, when that was not this
	// deployment; empty otherwise.
	Foreign string
	Ready   int       // ready endpoints
	Floor   int       // how many there must be
	Short   time.Time // since when there are fewer; zero while there are not
	Switch  *Switch   // the last change of the selector, until its pods are as many as it replaced
}

// Switch is a change of a Service's selector by this deployment.
type Switch struct {
	From, To map[string]string
	At       time.Time
	Replaced int // ready pods that lost the requests: From meant them then, and To does not
	Ready    int // ready pods that To means now
	Enough   int // how many would do, whatever was replaced
}

// Pod is a pod that a Service has had as a ready endpoint.
type Pod struct {
	Name string
	// Old says that the pod was there when the watch began.
	Old bool
	// Services has those that send it requests, or did when it was last ready.
	Services []string
	Serving  bool // one of them has it as an endpoint now
	Selected bool // one of them means it by its selector now
	Ready    bool // by its own condition
	// Unwanted says that its workload wants it no more: it was scaled down, got
	// another template or is gone. Deletions of other pods come from elsewhere:
	// an eviction, a node that is lost, somebody's hand.
	Unwanted  bool
	Disrupted bool          // evicted, preempted or lost with its node
	Ended     bool          // all its containers have ended, and no signal reaches it
	Left      time.Time     // when the last Service lost it as an endpoint; zero while one has it
	Deleted   time.Time     // when its deletion was seen; zero while it stays
	PreStop   time.Duration // for how long it works on before it is told to end
	// Flap is how long it may be unready though it works, by its readiness probe:
	// a machine without time may fail a probe and pass the next.
	Flap time.Duration
}

// Fenced is an object that carries a sequence.
type Fenced struct {
	Ref      kube.Ref
	Sequence int // 0 when it has none
}

// Scaled is a workload that somebody else has made smaller since the watch began.
type Scaled struct {
	Ref      kube.Ref
	From, To int64
	By       string // as the workload's managed fields name them
}
