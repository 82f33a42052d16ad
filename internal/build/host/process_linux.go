package host

import (
	"strconv"
	"time"

	"github.com/towline/towline/internal/box/process"
)

// waitGone waits until a runner has ended wholly: the kernel lets go of its
// lock a moment before it has ended the other processes of its namespace.
func waitGone(r runnerFile) {
	for deadline := time.Now().Add(process.KillWithin); r.alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// alive says whether the runner lives, and not another process that has come
// to its process ID.
func (r runnerFile) alive() bool {
	p, ok := process.Read(strconv.Itoa(r.PID))
	return ok && p.Start == r.Start && !p.Dead()
}

// sweep ends the processes that a lost runner left: those whose environment has
// the marker. Process and session IDs would say nothing after a restart of the
// machine, when they may be anybody's.
func sweep(marker string) error { return process.KillMarked(markerVariable, marker) }
