package invariant

import (
	"testing"
	"time"
)

// A look at 5,000 pods behind one Service, of which none has changed.
func BenchmarkLook(b *testing.B) {
	p := newPlay(b, Target{}, false)
	p.start("green", 5000)
	p.serve("blue", "green")
	for b.Loop() {
		if found := p.after(time.Second); found != nil {
			b.Fatal(found)
		}
	}
}
