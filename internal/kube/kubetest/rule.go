package kubetest

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Fault is what befalls a request on its way to the API server.
type Fault string

// The faults.
const (
	// Conflict answers a write with 409, as if the object had just changed.
	Conflict Fault = "409"
	// Busy answers with 429 and a Retry-After.
	Busy Fault = "429"
	// Broken answers with 500. The request is not carried out.
	Broken Fault = "500"
	// Lost carries a write out and resets the connection before its answer.
	Lost Fault = "lost answer"
	// Dropped resets the connection of a watch in the middle of it, and with
	// it all that shares the connection.
	Dropped Fault = "dropped watch"
	// Slow holds the request up before it is carried out.
	Slow Fault = "slow API"
	// Away resets all connections and refuses new ones for a time, as a
	// restart of the API server does.
	Away Fault = "API server restart"
)

// Rule says which requests a fault befalls. Of the requests that match, those
// numbered From to From+Count-1 are hit, each with the given chance.
type Rule struct {
	Fault    Fault
	Verb     string // get, list, watch, create, update, patch or delete; empty means any that the fault can befall
	Resource string // such as deployments or pods/log; empty means any
	From     int    // number of the first matching request that is hit; 0 means 1
	Count    int    // how many are hit from there on; 0 means 1, a negative number all
	Chance   float64
	// For is how long a Slow request is held up, an Away server refuses
	// connections, a watch that is Dropped has lived by then, and a client
	// that meets Busy is told to wait (in whole seconds). It has a default.
	For time.Duration
}

// Hit is a request that a fault has befallen.
type Hit struct {
	Fault    Fault
	Verb     string
	Resource string
	Name     string
}

// call is a request in the API's words.
type call struct {
	verb     string
	resource string // with the subresource: deployments, pods/log
	name     string
}

// callOf reads a request as the API server does. What is no request for a
// resource, such as discovery, has none.
func callOf(r *http.Request) call {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return call{verb: "get"}
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	c := call{resource: parts[0]}
	if len(parts) > 1 {
		c.name = parts[1]
	}
	if len(parts) > 2 {
		c.resource += "/" + parts[2]
	}
	c.verb = verbOf(r, c.name != "")
	return c
}

func verbOf(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	switch watch := r.URL.Query().Get("watch"); {
	case watch == "true" || watch == "1":
		return "watch"
	case named:
		return "get"
	}
	return "list"
}

// writes tells whether the call changes something.
func (c call) writes() bool { return c.verb != "get" && c.verb != "list" && c.verb != "watch" }

// matches tells whether the rule is about such a call. What goes through the
// API server to an application is not the API's own and never hit.
func (r Rule) matches(c call) bool {
	if c.resource == "" || strings.HasSuffix(c.resource, "/proxy") {
		return false
	}
	switch r.Fault {
	case Conflict, Lost:
		if !c.writes() {
			return false
		}
	case Dropped:
		if c.verb != "watch" {
			return false
		}
	}
	return (r.Verb == "" || r.Verb == c.verb) && (r.Resource == "" || r.Resource == c.resource)
}

// hits tells whether the rule, the index-th of its set, hits the n-th request
// that matches it. It depends on nothing else but the seed, so that the order
// in which requests of different kinds come in changes nothing.
func (r Rule) hits(seed uint64, index, n int) bool {
	from, count := max(r.From, 1), r.Count
	if count == 0 {
		count = 1
	}
	if n < from || (count > 0 && n >= from+count) {
		return false
	}
	if r.Chance == 0 {
		return true
	}
	return rand.New(rand.NewPCG(seed, uint64(index)<<32|uint64(n))).Float64() < r.Chance //nolint:gosec // repeatable on purpose
}

// span is how long the fault lasts.
func (r Rule) span() time.Duration {
	switch {
	case r.For > 0:
		return r.For
	case r.Fault == Away:
		return 3 * time.Second
	case r.Fault == Dropped:
		return 300 * time.Millisecond
	}
	return time.Second
}
