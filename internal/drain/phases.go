package drain

import (
	"sync"
	"sync/atomic"
	"time"
)

// closeEvery is how often the connections are looked at while they are being
// closed.
const closeEvery = 10 * time.Millisecond

// drain is how far the one drain of a proxy is.
type drain struct {
	once    sync.Once
	begun   chan struct{}
	drained chan struct{}
	stats
}

// stats count what became of the connections in a drain.
type stats struct {
	told   atomic.Int64 // clients that were told to close their connection
	idle   atomic.Int64 // connections that were closed after a long time without a request
	missed atomic.Int64 // requests that came on a connection just as it was closed
	cut    atomic.Int64 // connections that had something in flight for too long
}

func newDrain() *drain {
	return &drain{begun: make(chan struct{}), drained: make(chan struct{})}
}

// begin starts the drain; further calls do nothing.
func (d *drain) begin() { d.once.Do(func() { close(d.begun) }) }

// draining tells that clients must be told to go elsewhere.
func (d *drain) draining() bool {
	select {
	case <-d.begun:
		return true
	default:
		return false
	}
}

// run waits for the drain to begin and goes through its phases.
func (p *proxy) run() {
	<-p.drain.begun
	began := time.Now()
	open := p.open()
	p.Logger.Info("drain: tell clients to go elsewhere", "connections", len(open), "for", p.Detach.String())
	for _, r := range open {
		r.tell()
	}
	time.Sleep(p.Detach)
	// Whoever sent nothing for the whole of Detach hardly sends in the very
	// moment of the close. A connection that was opened later than that and
	// has sent nothing yet is given the same time.
	deadline := time.Now().Add(p.Longest)
	waiting := p.close()
	for waiting > 0 && time.Now().Before(deadline) {
		time.Sleep(closeEvery)
		waiting = p.close()
	}
	p.drain.cut.Add(int64(waiting))
	close(p.drain.drained)
	p.Logger.Info("drained", "seconds", time.Since(began).Seconds(), "told", p.drain.told.Load(),
		"closed idle", p.drain.idle.Load(), "missed", p.drain.missed.Load(), "not waited for", waiting)
}

// close closes what is idle and returns how many connections must be waited
// for.
func (p *proxy) close() (waiting int) {
	for _, r := range p.open() {
		if r.close(p.Detach) {
			waiting++
		}
	}
	return waiting
}
