package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/towline/towline/internal/kube"
	"github.com/towline/towline/internal/localkube"
)

// sample is one measurement. Processor seconds are those of all cores together.
type sample struct {
	seconds float64
	client  float64            // processor seconds of the program that applies
	server  map[string]float64 // of the control plane's processes by name, none for a cluster elsewhere
}

// meter measures programs beside the control plane of a local cluster. The
// controllers go on for a while after a program has ended; what they use then
// does not count.
type meter struct {
	processes map[string]int
	load      string // of the machine before anything was measured, "unknown" when it cannot be read
}

// newMeter finds the control plane's processes, if the cluster is a local one.
func newMeter(ctx context.Context, cluster *kube.Cluster) *meter {
	m := &meter{processes: map[string]int{}, load: load()}
	local, err := localkube.New(localkube.Config{Name: cluster.Context})
	if err != nil {
		return m
	}
	status, err := local.Status(ctx)
	if err != nil {
		return m
	}
	for _, c := range status.Components {
		m.processes[c.Name] = c.PID
	}
	return m
}

// command runs a program to its end.
func (m *meter) command(cmd *exec.Cmd) (sample, error) {
	before, began := m.used(), time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, out)
	}
	s := m.since(before, began)
	s.client = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return s, nil
}

// function runs a part of this program.
func (m *meter) function(do func() error) (sample, error) {
	own, before, began := ownProcessor(), m.used(), time.Now()
	if err := do(); err != nil {
		return sample{}, err
	}
	s := m.since(before, began)
	s.client = ownProcessor() - own
	return s, nil
}

func (m *meter) since(before map[string]float64, began time.Time) sample {
	s := sample{seconds: time.Since(began).Seconds(), server: map[string]float64{}}
	for name, now := range m.used() {
		s.server[name] = now - before[name]
	}
	return s
}

// used are the processor seconds of the control plane's processes so far.
func (m *meter) used() map[string]float64 {
	used := map[string]float64{}
	for name, pid := range m.processes {
		if seconds, ok := processor(pid); ok {
			used[name] = seconds
		}
	}
	return used
}

// processor reads the user and system time of a process from proc(5), which
// counts in hundredths of a second.
func processor(pid int) (seconds float64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	_, rest, ok := strings.Cut(string(text), ") ") // The name before may have blanks.
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if !ok || len(fields) <= system {
		return 0, false
	}
	for _, field := range []string{fields[user], fields[system]} {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, false
		}
		seconds += float64(ticks) / 100
	}
	return seconds, true
}

// load is how many programs have wanted a processor at a time in the last
// minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func ownProcessor() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
