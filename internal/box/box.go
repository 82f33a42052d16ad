// Package box runs something in a process of its own that the server does not
// need: the runner of a build or of a function. Its noun is the box: a child
// with a session of its own, where the system allows it with namespaces, a user
// and a view of the file system of its own too; a directory in which a lock
// tells whether it lives and records tell who it is and how it ended, also to
// a server that did not start it.
//
// A Keeper is the server's side; Main, View and the rest of it are the
// runner's. The room must not know what runs: neither builds nor functions,
// nor what follows from their end.
package box

import "errors"

// ErrUnboxed says that this system forbids what a box needs.
var ErrUnboxed = errors.New("namespaces are not allowed here")

// Nobody is the user of what runs without a box where Towline is root.
const Nobody = 65534

// Runner says which process a runner is.
type Runner struct {
	PID   int    `json:"pid"`   // as the server sees it
	Start uint64 `json:"start"` // clock ticks from boot to its start: a recycled PID has another
	Run   int    `json:"run"`   // counts the runners of one directory, from 1; 0 is none
}
