// Package process knows the processes of this machine, or of the namespace
// that this process is the first of: it finds and ends those that what runs has
// started, reaps its orphans and bounds what it may use. Its noun
// is the process, as /proc shows it. Runners call it; it knows nothing of what
// they run but that all that it started must end.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// KillWithin bounds how long killed processes may take to be gone. A process
// can only stay longer in an uninterruptible system call.
const KillWithin = 10 * time.Second

// Process is what /proc says about one.
type Process struct {
	PID, Parent int
	Name        string // of the program, as the kernel cuts it
	State       byte   // Z when it has ended and nobody has noticed
	Start       uint64 // clock ticks from boot
	Threads     int
	Resident    int64 // bytes in memory, also those of files that it has mapped
}

// Dead tells whether it has ended, also when its parent has not noticed.
func (p Process) Dead() bool { return p.State == 'Z' || p.State == 'X' }

// Read reads a process; ok is false when there is none.
func Read(pid string) (p Process, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return Process{}, false
	}
	// The name in parentheses may hold anything; the fields begin behind it.
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	begin := bytes.IndexByte(text, '(')
	if end < 0 || begin < 1 || len(fields) < 22 {
		return Process{}, false
	}
	p.PID, _ = strconv.Atoi(string(text[:begin-1]))
	p.Name = string(text[begin+1 : end])
	p.State = fields[0][0]
	p.Parent, _ = strconv.Atoi(fields[1])
	p.Threads, _ = strconv.Atoi(fields[17])
	p.Start, _ = strconv.ParseUint(fields[19], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.Resident = pages * int64(os.Getpagesize())
	return p, true
}

// All are all that this process can see.
func All() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if p, ok := Read(name); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// Descendants are the processes that this one and its children started and that
// still live. Where this process is a subreaper, or the first of its namespace,
// none can slip away.
func Descendants(all []Process) []Process {
	children := map[int][]Process{}
	for _, p := range all {
		children[p.Parent] = append(children[p.Parent], p)
	}
	var found []Process
	for next := []int{os.Getpid()}; len(next) > 0; {
		kids := children[next[0]]
		next = next[1:]
		for _, p := range kids {
			if !p.Dead() {
				found = append(found, p)
			}
			next = append(next, p.PID)
		}
	}
	return found
}

// KillAll kills the processes that choose finds until it finds none.
func KillAll(choose func([]Process) []Process) error {
	deadline := time.Now().Add(KillWithin)
	if os.Getpid() == 1 {
		// The first process of a namespace kills all others at one stroke, so
		// that none can start another in between.
		_ = unix.Kill(-1, unix.SIGKILL)
	}
	for {
		all, err := All()
		if err != nil {
			return err
		}
		rest := choose(all)
		if len(rest) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes, among them %d, do not end", len(rest), rest[0].PID)
		}
		for _, p := range rest {
			if err := unix.Kill(p.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d: %w", p.PID, err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// KillMarked kills the processes whose environment has a variable with that
// value, but for this one.
func KillMarked(variable, value string) error {
	want := []byte(variable + "=" + value)
	return KillAll(func(all []Process) []Process {
		var found []Process
		for _, p := range all {
			if !p.Dead() && p.PID != os.Getpid() && hasVariable(p.PID, want) {
				found = append(found, p)
			}
		}
		return found
	})
}

func hasVariable(pid int, want []byte) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(text, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

// Children are the process IDs of the children of this process. It asks for
// them alone, and so takes no longer when there are many other processes.
func Children() []int {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/children")
		if err != nil {
			continue // it has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
