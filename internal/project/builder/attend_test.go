package builder_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/towline/towline/internal/project/builder"
)

// TestABuildEndsTogetherWithTheStartOfTheNext looks, whenever the clock is
// asked, at what a server would find that died at that moment: a build that has
// failed and is to be done again is never there without the one that does it.
func TestABuildEndsTogetherWithTheStartOfTheNext(t *testing.T) {
	t.Parallel()
	var y *yard
	var ready atomic.Bool
	var lost atomic.Int64
	y = setup(t, func(c *builder.Config) {
		c.Now = func() time.Time {
			if ready.Load() {
				all, err := c.Store.Builds(t.Context(), builder.Filter{Ascending: true, Limit: 9})
				if err == nil && len(all) == 1 && all[0].Ended {
					lost.Add(1)
				}
			}
			return time.Now()
		}
	})
	d := definition("web", "exit 1")
	d.AutoRetry = 1
	y.create(d)
	ready.Store(true)
	first := y.start(builder.StartRequest{Project: "web"})
	y.ended(first.ID)
	y.ended(y.doneAgain(first).ID)
	ready.Store(false)
	if n := lost.Load(); n > 0 {
		t.Errorf("%d times there was an ended build without the one that does it again", n)
	}
}
