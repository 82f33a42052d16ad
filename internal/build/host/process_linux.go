package host

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

// killWithin bounds how long killed processes may take to be gone. A process
// can only stay longer in an uninterruptible system call.
const killWithin = 10 * time.Second

// process is what /proc says about one.
type process struct {
	pid, parent int
	state       byte   // Z when it has ended and nobody has noticed
	start       uint64 // clock ticks from boot
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// readProcess reads a process; ok is false when there is none.
func readProcess(pid string) (p process, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return process{}, false
	}
	// The name in parentheses may hold anything; the fields begin behind it.
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 20 {
		return process{}, false
	}
	p.pid, _ = strconv.Atoi(string(text[:bytes.IndexByte(text, ' ')]))
	p.state = fields[0][0]
	p.parent, _ = strconv.Atoi(fields[1])
	p.start, _ = strconv.ParseUint(fields[19], 10, 64)
	return p, true
}

// processes are all that this process can see.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []process
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if p, ok := readProcess(name); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// waitGone waits until a runner has ended wholly: the kernel lets go of its
// lock a moment before it has ended the other processes of its namespace.
func waitGone(r runnerFile) {
	for deadline := time.Now().Add(killWithin); r.alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// alive says whether the runner lives, and not another process that has come
// to its process ID.
func (r runnerFile) alive() bool {
	p, ok := readProcess(strconv.Itoa(r.PID))
	return ok && p.start == r.Start && !p.dead()
}

// sweep ends the processes that a lost runner left: those whose environment has
// the marker. Process and session IDs would say nothing after a restart of the
// machine, when they may be anybody's.
func sweep(marker string) error {
	want := []byte(markerVariable + "=" + marker)
	return killAll(func(all []process) []process {
		var found []process
		for _, p := range all {
			if !p.dead() && p.pid != os.Getpid() && hasVariable(p.pid, want) {
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

// descendants are the processes that this one and its children started and that
// still live. Where this process is a subreaper, or the first of its namespace,
// none can slip away.
func descendants(all []process) []process {
	children := map[int][]process{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}
	var found []process
	for next := []int{os.Getpid()}; len(next) > 0; {
		kids := children[next[0]]
		next = next[1:]
		for _, p := range kids {
			if !p.dead() {
				found = append(found, p)
			}
			next = append(next, p.pid)
		}
	}
	return found
}

// killAll kills the processes that choose finds until it finds none.
func killAll(choose func([]process) []process) error {
	deadline := time.Now().Add(killWithin)
	if os.Getpid() == 1 {
		// The first process of a namespace kills all others at one stroke, so
		// that none can start another in between.
		_ = unix.Kill(-1, unix.SIGKILL)
	}
	for {
		all, err := processes()
		if err != nil {
			return err
		}
		rest := choose(all)
		if len(rest) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes, among them %d, do not end", len(rest), rest[0].pid)
		}
		for _, p := range rest {
			if err := unix.Kill(p.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d: %w", p.pid, err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}
