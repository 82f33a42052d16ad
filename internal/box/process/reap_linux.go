package process

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes this process the parent of those whose parents have ended, so that
// Descendants finds them. The first process of a namespace is that anyway.
func Adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// ReapOrphans takes the exit status of processes whose parents have ended, once
// a second: they are this process's children then and would stay as zombies.
// It returns a function that ends this.
func ReapOrphans() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		old := map[int]bool{}
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				old = reapSince(old)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// reapSince reaps those children that were zombies a second ago already, which
// nobody else waits for, and returns those that are zombies now.
func reapSince(old map[int]bool) map[int]bool {
	all, err := All()
	if err != nil {
		return nil
	}
	zombies := map[int]bool{}
	for _, p := range all {
		if p.Parent != os.Getpid() || p.State != 'Z' {
			continue
		}
		if old[p.PID] {
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
			continue
		}
		zombies[p.PID] = true
	}
	return zombies
}
