// Package usage knows what the processes of a box use together: memory,
// threads, and space on the disk. Its noun is the usage, measured again and
// again and held against limits. Quotas and cgroups would hold it at the limit
// instead of seeing it a moment later, but they need root and more: a file
// system that is mounted for them, a part of the cgroups' tree that nobody else
// manages. What is measured works for every user and in every container.
package usage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what there can be too much of.
type Kind string

// The kinds.
const (
	Memory    Kind = "memory"
	Processes Kind = "processes" // with their threads
	Disk      Kind = "disk"
	Files     Kind = "files"
	Space     Kind = "space" // on the file system, of which too little is left
)

// OnDisk tells whether removing files makes up for it.
func (k Kind) OnDisk() bool { return k == Disk || k == Files || k == Space }

// Limits are what may be used at most. Zero is no limit.
type Limits struct {
	Memory    int64 `json:"memory,omitempty"` // bytes that the processes have in memory
	Processes int   `json:"processes,omitempty"`
	Disk      int64 `json:"disk,omitempty"` // bytes that the files of all places take
	Files     int   `json:"files,omitempty"`
	// Spare is how many bytes are to stay free on the file systems of the
	// places. Who holds as much as is left ends when less is: what it holds is
	// free then, and who holds little goes on.
	Spare int64 `json:"spare,omitempty"`
}

// Place is a directory, or a file, whose contents count.
type Place struct {
	Name string // as people call it
	Path string
}

// Excess is that too much was used.
type Excess struct {
	Kind Kind
	// Used is more than Limit: bytes or a number. Of Space it is what the places
	// take, and Limit what is left.
	Used, Limit int64
	// Most is the program, or the place, that uses most of it: MostUsed. It is ""
	// for Processes.
	Most     string
	MostUsed int64
}

func (e *Excess) Error() string {
	switch e.Kind {
	case Processes, Files:
		return fmt.Sprintf("%d %s are more than the limit of %d", e.Used, e.Kind, e.Limit)
	case Space:
		return fmt.Sprintf("%s are left on the disk, and %s are used of it", Size(e.Limit), Size(e.Used))
	}
	return fmt.Sprintf("%s of %s are more than the limit of %s", Size(e.Used), e.Kind, Size(e.Limit))
}

// Watcher looks at what the descendants of this process use. They must all be
// its own: see process.Adopt.
type Watcher struct {
	limits Limits
	disk   *disk
	bomb   func() *Excess
	count  bool
	memory atomic.Int64
	looks  pace
}

// New returns a Watcher, before what it watches begins. Where count is set it
// also counts the memory below the limit, for Memory.
func New(limits Limits, places []Place, count bool) *Watcher {
	return &Watcher{limits: limits, disk: newDisk(limits, places), bomb: counter(limits.Processes), count: count || swaps(), looks: pace{every: lookEvery}}
}

// Memory is the most that was in use at a time, in bytes.
func (w *Watcher) Memory() int64 { return w.memory.Load() }

// lookEvery is how often is looked, where looking costs little.
const lookEvery = 50 * time.Millisecond

// Watch looks until ctx ends or too much is used. What uses it goes on then, but
// for a fork bomb, which is stopped: nothing could end it otherwise.
func (w *Watcher) Watch(ctx context.Context) *Excess {
	ctx, stop := context.WithCancel(ctx)
	var first atomic.Pointer[Excess]
	var watching sync.WaitGroup
	// A fork bomb leaves no time for long looks, and a large tree no time for
	// short ones.
	for _, look := range []func() *Excess{w.look, w.disk.look, w.bomb} {
		watching.Go(func() {
			if e := repeat(ctx, look); e != nil {
				first.CompareAndSwap(nil, e)
				stop()
			}
		})
	}
	watching.Wait()
	stop()
	return first.Load()
}

func repeat(ctx context.Context, look func() *Excess) *Excess {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if e := look(); e != nil {
			return e
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pace spaces looks, so that looking takes a small part of the time however long
// one look is.
type pace struct {
	every time.Duration // at most
	next  time.Time
}

// rest is how much longer is waited than a look takes.
const rest = 30

func (p *pace) due(now time.Time) bool { return !now.Before(p.next) }

func (p *pace) looked(began time.Time) {
	now := time.Now()
	p.next = now.Add(max(p.every, rest*now.Sub(began)))
}

// Size is a number of bytes as people read it.
func Size(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(unit.bytes)), ".0") + " " + unit.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
