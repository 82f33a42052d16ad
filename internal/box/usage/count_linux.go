package usage

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box/process"
)

// counter returns a look at how many processes and threads there are. It reads
// one number of the whole machine, since a fork bomb leaves no time for more. Is
// it too many more than before, it stops all process groups of this process's
// children at one stroke, counts, and lets them go on if they are not the
// reason.
func counter(most int) func() *Excess {
	before := -1 // on this machine without ours
	return func() *Excess {
		now := threads()
		if most <= 0 || now < 0 {
			return nil
		}
		if before < 0 {
			before = now
		}
		if now-before <= most {
			return nil
		}
		groups := childGroups()
		signal(groups, unix.SIGSTOP)
		all, err := process.All()
		if err != nil {
			signal(groups, unix.SIGCONT)
			return nil //nolint:nilerr // There is a next look.
		}
		ours := 0
		for _, p := range process.Descendants(all) {
			ours += p.Threads
		}
		if ours > most {
			return &Excess{Kind: Processes, Used: int64(ours), Limit: int64(most)}
		}
		signal(groups, unix.SIGCONT)
		before = now - ours
		return nil
	}
}

// threads is how many threads this machine has, -1 when it does not tell.
func threads() int {
	text, err := os.ReadFile("/proc/loadavg") // 0.20 0.18 0.12 1/80 11206
	if err != nil {
		return -1
	}
	_, rest, _ := bytes.Cut(text, []byte{'/'})
	number, _, _ := bytes.Cut(rest, []byte{' '})
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return -1
	}
	return n
}

// childGroups are the process groups of this process's children but for its own.
func childGroups() []int {
	var groups []int
	me := unix.Getpgrp()
	for _, pid := range process.Children() {
		if group, err := unix.Getpgid(pid); err == nil && group != me {
			groups = append(groups, group)
		}
	}
	return groups
}

func signal(groups []int, s unix.Signal) {
	for _, group := range groups {
		_ = unix.Kill(-group, s)
	}
}
