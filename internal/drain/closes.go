package drain

import (
	"sync"
	"time"
)

// manyCloses is after how many closes within about a minute the ports of this
// pod become scarce: each keeps one of 28,000 for a minute.
const manyCloses = 10_000

// closes counts the connections to the application that were closed from this
// side.
type closes struct {
	mu          sync.Mutex
	minute      int64
	now, before int
}

// note counts one close and tells whether there are so many that the next ones
// must not keep their port.
func (c *closes) note(at time.Time) (many bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch minute := at.Unix() / 60; {
	case minute == c.minute+1:
		c.minute, c.before, c.now = minute, c.now, 0
	case minute != c.minute:
		c.minute, c.before, c.now = minute, 0, 0
	}
	c.now++
	return c.now+c.before > manyCloses
}
