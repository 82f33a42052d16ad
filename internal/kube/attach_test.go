package kube

import (
	"sync"
	"testing"
)

func TestWhatIsPrintedOnBothStreamsIsKeptUpToALimit(t *testing.T) {
	t.Parallel()
	const writers, writes = 8, 20000
	out := &limited{left: writers*writes - 1}
	var both sync.WaitGroup
	for range writers {
		both.Go(func() {
			for range writes {
				if n, err := out.Write([]byte("x")); n != 1 || err != nil {
					t.Errorf("wrote %d bytes: %v", n, err)
				}
			}
		})
	}
	both.Wait()
	if n := len(out.String()); n != writers*writes-1 {
		t.Errorf("%d bytes are kept, want all but one of %d", n, writers*writes)
	}
}
