package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/box/process"
	"github.com/towline/towline/internal/box/usage"
	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
)

// What builds may use when nothing is said.
const (
	// mostProcesses is several times what compilers and test suites start, and a
	// small part of what a machine can hold.
	mostProcesses = 4096
	// mostDisk is what CodeBuild's smallest machine has.
	mostDisk = 64 << 30
	// spareDisk, or a twentieth of a small file system, is left to the server.
	spareDisk = 1 << 30
)

// limits are what a build may use, and where each limit was said.
type limits struct {
	usage.Limits
	Options map[usage.Kind]string `json:"options"`
}

// defaults completes what the configuration says of limits.
func (c *Config) defaults() error {
	if c.Processes == 0 {
		c.Processes = mostProcesses
	}
	if c.Disk == 0 {
		c.Disk = mostDisk
	}
	if c.Memory == 0 {
		c.Memory = machineMemory() / 4 * 3
	}
	if c.Spare == 0 {
		var about unix.Statfs_t
		if err := unix.Statfs(c.CacheDir, &about); err != nil {
			return fmt.Errorf("ask how large the file system of %s is: %w", c.CacheDir, err)
		}
		c.Spare = min(spareDisk, int64(about.Blocks)*about.Bsize/20)
	}
	return nil
}

// machineMemory is how much memory this machine has, or the container in which
// the server runs; 0 when neither tells.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	most := int64(info.Totalram) * int64(info.Unit)
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && n > 0 {
				most = min(most, n)
			}
		}
	}
	return most
}

// limitsOf are those of a build: what it asks for itself, within what the server
// gives each. A refusal says what is wrong with what it asks for.
func (h *Backend) limitsOf(b build.Build) (l limits, refusal string) {
	l = limits{
		Limits:  usage.Limits{Memory: h.config.Memory, Disk: h.config.Disk, Processes: h.config.Processes, Spare: h.config.Spare},
		Options: map[usage.Kind]string{usage.Memory: "--build-memory of the server", usage.Disk: "--build-disk of the server", usage.Processes: "--build-processes of the server"},
	}
	asked := pipeline.Limits{}
	if b.Limits != nil {
		asked = *b.Limits
	}
	for _, size := range []struct {
		kind usage.Kind
		text string
		of   *int64
	}{{usage.Memory, asked.Memory, &l.Memory}, {usage.Disk, asked.Disk, &l.Disk}} {
		if size.text == "" {
			continue
		}
		n, err := pipeline.ParseSize(size.text)
		if err != nil {
			return l, fmt.Sprintf("limits.%s: %v", size.kind, err)
		}
		if n > *size.of && *size.of > 0 {
			return l, fmt.Sprintf("limits.%s is %s, and this server gives a build %s: ask for less, or start the server with a greater --build-%s", size.kind, size.text, usage.Size(*size.of), size.kind)
		}
		*size.of, l.Options[size.kind] = n, fmt.Sprintf("limits.%s of the action", size.kind)
	}
	if asked.Processes < 0 || asked.Processes > l.Processes && l.Processes > 0 {
		return l, fmt.Sprintf("limits.processes is %d, and this server gives a build %d: ask for less, or start the server with a greater --build-processes", asked.Processes, l.Processes)
	}
	if asked.Processes > 0 {
		l.Processes, l.Options[usage.Processes] = asked.Processes, "limits.processes of the action"
	}
	return l, ""
}

// refused is how a build ends that asks for what it cannot have.
func refused(b build.Build, reason string) build.Ended {
	name := "build"
	if len(b.Phases) > 0 {
		name = b.Phases[0].Name
	}
	return build.Ended{Phases: []build.PhaseEnd{{Name: name, Failure: &build.Failure{Reason: reason}}}}
}

// watch watches what the build uses. The context ends when that is too much, and
// so do the build's processes. Stop ends the watch and says what it was.
func (r *runner) watch(ctx context.Context) (watched context.Context, stop func() *usage.Excess) {
	watched, exceed := context.WithCancelCause(ctx)
	watching, end := context.WithCancel(ctx)
	watcher, excess := r.watcher(), make(chan *usage.Excess, 1)
	go func() {
		e := watcher.Watch(watching)
		if e != nil {
			exceed(build.ErrExceeded{Text: r.in.Limits.told(e, r.in.CachesAt)})
			// At once: until they have ended they use more. Who ends the build kills
			// what has survived this.
			_ = process.KillAll(process.Descendants)
		}
		excess <- e
	}()
	return watched, func() *usage.Excess {
		end()
		e := <-excess
		exceed(nil)
		return e
	}
}

// emptySource makes room again after a build that has filled the disk: its
// execution may stay for long until somebody looks after it.
func (r *runner) emptySource() error {
	entries, err := os.ReadDir(r.places.source)
	for _, entry := range entries {
		err = errors.Join(err, box.RemoveAll(filepath.Join(r.places.source, entry.Name())))
	}
	if err != nil {
		return fmt.Errorf("remove what the build has written: %w", err)
	}
	r.out.Printf("host backend: what the build has written is removed")
	return nil
}

// watcher is what watches the build. Where its commands have a user of their
// own, the kernel counts that user's processes.
func (r *runner) watcher() *usage.Watcher {
	l := r.in.Limits.Limits
	if r.in.User >= 0 {
		l.Processes = 0
	}
	p := r.places
	place := filepath.Join(r.in.Dir, boxDir)
	return usage.New(l, []usage.Place{
		{Name: "its source directory", Path: p.source}, {Name: "its further inputs", Path: p.inputs}, {Name: "its HOME", Path: p.home},
		{Name: "its /tmp", Path: p.temp}, {Name: "its /var/tmp", Path: filepath.Join(place, keptTempDir)},
		{Name: "its databases", Path: p.services}, {Name: "its databases", Path: filepath.Join(place, layersDir)},
		{Name: "the caches of its pipeline", Path: p.cache}, {Name: "its log", Path: r.in.LogFile},
	}, false)
}

// told is an excess in words for who mends it.
func (l limits) told(e *usage.Excess, caches string) string {
	switch e.Kind {
	case usage.Space:
		return fmt.Sprintf("the disk of the server has only %s left, and the build held %s of it, %s in %s; make room on that disk, or let the build write less",
			usage.Size(e.Limit), usage.Size(e.Used), usage.Size(e.MostUsed), e.Most)
	case usage.Disk:
		hint := ""
		if e.Most == "the caches of its pipeline" {
			hint = fmt.Sprintf(" remove %s, which later builds fill again,", caches)
		}
		return fmt.Sprintf("it used %s of disk, more than the %s that it may: %s of it in %s; let it write less,%s or raise %s", usage.Size(e.Used), usage.Size(e.Limit), usage.Size(e.MostUsed), e.Most, hint, l.Options[e.Kind])
	case usage.Memory:
		return fmt.Sprintf("its processes used %s of memory, more than the %s that they may: %s of it by %s; let them use less, or raise %s", usage.Size(e.Used), usage.Size(e.Limit), usage.Size(e.MostUsed), e.Most, l.Options[e.Kind])
	}
	return fmt.Sprintf("it had %d processes and threads, more than the %d that it may: let it start fewer at once, or raise %s", e.Used, e.Limit, l.Options[e.Kind])
}
