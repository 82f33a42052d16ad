// Package runner is what runs a build inside its Pod: `towline agent build`,
// started by the Pod's main container before anything of the user's. It takes
// the build with its files from the server, walks the phases, keeps the log and
// the result, and gives them out until the server has them. Its noun is the
// runner. The pod backend calls it through the API server; it knows no cluster,
// and nothing of who asks but a token.
//
// It speaks HTTP on the Pod's loopback:
//
//	GET  /state            State
//	POST /build            a tree stream: OrderName, then the trees; State
//	GET  /log?from=N       the log from that byte on; see EndedHeader
//	GET  /result           Result, once the build has ended
//	GET  /files            a tree stream: GoneName, then SourceTree
//	GET  /errand           Errand: what the build wants of its cache
//	POST /archive?number=N the archive that errand N was after
//	GET  /archive?number=N the archive that errand N is to keep
//	POST /done?number=N    Done: what has become of errand N
//	POST /stop             ends the build; State
//	POST /leave            ends the runner
package runner

import (
	"time"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/build/cache"
)

const (
	// Port is where the runner listens on the Pod's loopback.
	Port = 10253
	// Mount is where the Pod has the build's volume: the same path as on host,
	// so that the commands see the same.
	Mount = "/run/towline/build"
	// Bin is where the Pod has this program.
	Bin = "/run/towline/bin"
	// Cache is the directory of the tools' caches.
	Cache = Mount + "/cache"

	// OrderName is the text with the Order.
	OrderName = "order.json"
	// GoneName is the text with the paths of files that the build has removed, a
	// JSON array.
	GoneName = "gone.json"
	// SourceTree is the tree of the source.
	SourceTree = "src"
	// InputsTree is that of the further inputs.
	InputsTree = build.InputsDir

	// EndedHeader is set on the answer with the last part of the log.
	EndedHeader = "Towline-Ended"
	// LogWait is how long an answer without anything new takes.
	LogWait = 10 * time.Second
)

// Order is a build as the server gives it to the runner.
type Order struct {
	Build build.Build `json:"build"`
	// Greeting is the first line of the log.
	Greeting string `json:"greeting,omitempty"`
	// Services are the databases that are ready beside the build, in words:
	// "service db: PostgreSQL 16 is ready on 127.0.0.1:5432".
	Services []string `json:"services,omitempty"`
	// Titles are the databases as people call them, for build.Ended.
	Titles []string `json:"titles,omitempty"`
	// Variables are the services' addresses.
	Variables map[string]string `json:"variables,omitempty"`
	// Hidden are the services' passwords, which the log does not show.
	Hidden []string `json:"hidden,omitempty"`
	// Caches says that the server keeps caches, and will ask for errands.
	Caches bool `json:"caches,omitempty"`
	// Values and Kubeconfig are what build.Build makes for each run.
	Values     build.Values `json:"values,omitzero"`
	Kubeconfig []byte       `json:"kubeconfig,omitempty"`
}

// Stage is how far a runner is.
type Stage string

// The stages of a runner.
const (
	Waiting Stage = "waiting" // for a build
	Running Stage = "running"
	Ended   Stage = "ended" // until the server has the result and the files
)

// State is what a runner says of itself.
type State struct {
	Stage   Stage `json:"stage"`
	LogSize int64 `json:"logSize"` // bytes of the log so far
}

// Errand is something that the build wants its server to do, while it waits.
type Errand struct {
	Number   int         `json:"number,omitempty"`
	Kind     ErrandKind  `json:"kind,omitempty"` // "" when there is none now
	Entry    cache.Entry `json:"entry,omitzero"`
	Fallback []string    `json:"fallback,omitempty"`
}

// ErrandKind is a method of cache.Archives.
type ErrandKind string

// The kinds of an Errand. After ErrandNone there will be no more.
const (
	ErrandFind ErrandKind = "find"
	ErrandPut  ErrandKind = "put"
	ErrandDrop ErrandKind = "drop"
	ErrandNone ErrandKind = "none"
)

// Done is what has become of an Errand.
type Done struct {
	// Entry is that of the archive which was found and sent, nil for none.
	Entry *cache.Entry `json:"entry,omitempty"`
	Fault string       `json:"fault,omitempty"`
}

// Result is how the build of a Pod ended.
type Result struct {
	Ended build.Ended `json:"ended"`
	// Fault says why the build could not be run, and is empty when it could.
	Fault string `json:"fault,omitempty"`
}
