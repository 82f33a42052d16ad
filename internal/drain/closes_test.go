package drain

import (
	"testing"
	"time"
)

func TestPortsAreSparedWhenManyConnectionsWereClosedLately(t *testing.T) {
	t.Parallel()
	var c closes
	at := time.Unix(600, 0)
	for range manyCloses {
		if c.note(at) {
			t.Fatal("too early")
		}
	}
	if !c.note(at) || !c.note(at.Add(time.Minute)) {
		t.Error("a minute later the ports are still taken")
	}
	if c.note(at.Add(3 * time.Minute)) {
		t.Error("two minutes later they are free")
	}
}
