package usage

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box/process"
)

// look looks at the processes.
func (w *Watcher) look() *Excess {
	now := time.Now()
	if w.limits.Memory <= 0 && w.limits.Processes <= 0 || !w.looks.due(now) {
		return nil
	}
	defer w.looks.looked(now)
	all, err := process.All()
	if err != nil {
		return nil // There is a next look.
	}
	mine := process.Descendants(all)
	if e := tooMany(mine, w.limits.Processes); e != nil {
		return e
	}
	return w.held(mine)
}

// held holds the memory of processes against the limit. What costs more to ask
// is only asked when it may matter: what a process has in memory counts the
// files too that it has mapped, which the kernel can read again; its own memory
// counts what it shares with others for each of them.
func (w *Watcher) held(all []process.Process) *Excess {
	if w.limits.Memory <= 0 {
		return nil
	}
	if sum, _ := total(all, func(p process.Process) int64 { return p.Resident }); sum <= w.limits.Memory && !w.count {
		return nil
	}
	sum, most := total(all, own)
	if sum > w.limits.Memory {
		sum, most = total(all, share)
	}
	w.memory.Store(max(w.memory.Load(), sum))
	if sum <= w.limits.Memory {
		return nil
	}
	return &Excess{Kind: Memory, Used: sum, Limit: w.limits.Memory, Most: most.Name, MostUsed: most.Resident}
}

// total is what processes have together, and the one that has most with what
// it has.
func total(all []process.Process, of func(process.Process) int64) (sum int64, most process.Process) {
	for _, p := range all {
		p.Resident = of(p)
		if sum += p.Resident; p.Resident > most.Resident {
			most = p
		}
	}
	return sum, most
}

// own is what a process has in memory or in the swap but for the files that it
// has mapped. What several processes share, as after a fork or in /dev/shm,
// counts for each that has touched it.
func own(p process.Process) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/status")
	if err != nil {
		return 0 // it has ended
	}
	return kilobytes(text, "RssAnon", "RssShmem", "VmSwap") << 10
}

// share is as own, but what processes share is divided among them.
func share(p process.Process) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/smaps_rollup")
	if err != nil {
		return own(p) // a process that may not be looked into, or has ended
	}
	return kilobytes(text, "Pss_Anon", "Pss_Shmem", "SwapPss") << 10
}

// kilobytes adds up values of a table as those of /proc are.
func kilobytes(table []byte, names ...string) (sum int64) {
	for line := range bytes.Lines(table) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		for _, wanted := range names {
			if string(name) != wanted {
				continue
			}
			if fields := bytes.Fields(value); len(fields) > 0 {
				n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
				sum += max(0, n)
			}
		}
	}
	return sum
}

// swaps tells whether this machine has a swap: what is there is not resident.
func swaps() bool {
	var info unix.Sysinfo_t
	return unix.Sysinfo(&info) != nil || info.Totalswap > 0
}
