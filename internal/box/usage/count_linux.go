package usage

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box/process"
)

// tooMany says that there are more threads than there may be; most is 0 for any
// number.
func tooMany(all []process.Process, most int) *Excess {
	threads := 0
	for _, p := range all {
		threads += p.Threads
	}
	if most <= 0 || threads <= most {
		return nil
	}
	return &Excess{Kind: Processes, Used: int64(threads), Limit: int64(most)}
}

// counter returns a look for fork bombs, which leave no time to look at each
// process. It reads one number of the whole machine. Has that become too many
// more, it stops all process groups of this process's children at one stroke,
// counts, and lets them go on if they are not the reason.
func counter(most int) func() *Excess {
	least := threads() // on this machine, without ours
	return func() *Excess {
		now := threads()
		least = min(least, now)
		if most <= 0 || now-least <= most {
			return nil
		}
		groups := childGroups()
		signal(groups, unix.SIGSTOP)
		all, err := process.All()
		mine := process.Descendants(all)
		if e := tooMany(mine, most); err == nil && e != nil {
			return e
		}
		signal(groups, unix.SIGCONT)
		least = now
		for _, p := range mine {
			least -= p.Threads
		}
		return nil
	}
}

// threads is how many threads this machine has, 0 when it does not tell.
func threads() int {
	text, err := os.ReadFile("/proc/loadavg") // 0.20 0.18 0.12 1/80 11206
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte{'/'})
	number, _, _ := bytes.Cut(rest, []byte{' '})
	n, _ := strconv.Atoi(string(number))
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
