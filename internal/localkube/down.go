package localkube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Down stops the cluster and removes all that it left on the machine:
// processes, mounts, network namespaces, links, routes, control groups, nft
// table and the state directory. The compiled binaries stay in the cache. It
// does so for a half-started or killed cluster as well, and for one that is
// not there it does nothing.
func (c *Cluster) Down(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return &MissingError{Missing: []Requirement{{What: "you are not root", Mend: "run the command with sudo"}}}
	}
	held, err := lock(ctx, c.paths.lock(), func() { c.config.Progress("another command works on cluster " + c.config.Name + "; waiting for it") })
	if err != nil {
		return err
	}
	defer held.Close()
	began := time.Now()
	l, known := c.slotOfRemains()
	if err := c.stopSupervisor(ctx); err != nil {
		return err
	}
	if err := c.killProcesses(ctx); err != nil {
		return err
	}
	if err := c.unmount(); err != nil {
		return err
	}
	if known {
		if err := removeNetwork(ctx, l); err != nil {
			return err
		}
	}
	if err := c.removeFiles(); err != nil {
		return err
	}
	if err := leaveMachine(ctx); err != nil {
		return err
	}
	c.config.Progress(fmt.Sprintf("cluster %s is down, %.1fs", c.config.Name, time.Since(began).Seconds()))
	return nil
}

// slotOfRemains returns the addressing of the cluster, from its state or else
// from the links that it left.
func (c *Cluster) slotOfRemains() (layout, bool) {
	if s, err := c.readState(); err == nil {
		return newLayout(s.Slot), true
	}
	slot, ok := c.findSlot()
	return newLayout(slot), ok
}

// stopSupervisor ends the supervisor, which ends the components, and returns
// when it is gone. A supervisor that does not end in time is killed.
func (c *Cluster) stopSupervisor(ctx context.Context) error {
	deadline := time.Now().Add(40 * time.Second)
	for told := false; ; {
		held, err := tryLock(c.paths.supervisorLock())
		if err == nil {
			return held.Close()
		}
		if !errors.Is(err, errLocked) {
			return err
		}
		var r report
		if readJSON(c.paths.status(), &r) == nil && r.PID > 1 && !told {
			told = true
			if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop the supervisor: %w", err)
			}
		}
		if time.Now().After(deadline) {
			return c.killProcesses(ctx)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("stop the supervisor: %w", err)
		}
	}
}

// killProcesses ends every process in the cluster's control group: pods, their
// shims, and whatever else is left.
func (c *Cluster) killProcesses(ctx context.Context) error {
	groups, err := detectCgroups(c.config.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = poll(ctx, 50*time.Millisecond, func(context.Context) error {
		pids := groups.processes("")
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v do not end", pids)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stop cluster %s: %w", c.config.Name, err)
	}
	// A group of which the last process has just ended can stay busy for a
	// moment.
	if err := poll(ctx, 50*time.Millisecond, func(context.Context) error { return groups.remove() }); err != nil {
		return fmt.Errorf("stop cluster %s: %w", c.config.Name, err)
	}
	return nil
}

// unmount takes away every mount under the cluster's directories, the last
// made first: pods' file systems and volumes, and network namespaces.
func (c *Cluster) unmount() error {
	roots := []string{c.config.Dir, filepath.Join(runRoot, c.config.Name)}
	for _, root := range roots {
		// The kernel names mounts by the path without links.
		if direct, err := filepath.EvalSymlinks(root); err == nil && direct != root {
			roots = append(roots, direct)
		}
	}
	for range 10 { // Mounts can be stacked on one point, and propagate.
		points, err := mountsUnder(roots)
		if err != nil {
			return err
		}
		if len(points) == 0 {
			return nil
		}
		for _, point := range slices.Backward(points) {
			_ = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
	points, err := mountsUnder(roots)
	if err == nil && len(points) > 0 {
		err = fmt.Errorf("unmount %s", strings.Join(points, ", "))
	}
	return err
}

func mountsUnder(roots []string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var points []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // An overlay's options name all of its layers.
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		point := unescapeMount(fields[4])
		for _, root := range roots {
			if strings.HasPrefix(point, root+"/") {
				points = append(points, point)
			}
		}
	}
	return points, lines.Err()
}

// unescapeMount undoes the octal escapes of mountinfo.
func unescapeMount(point string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(point)
}

// removeFiles deletes the cluster's files, the few that components keep at
// fixed places of the machine among them.
func (c *Cluster) removeFiles() error {
	defer func() { _ = os.Remove(defaultRoot) }() // It fails while other clusters are in it.
	return errors.Join(
		removeLinksInto("/var/log/containers", c.config.Dir),
		removeMatches("/var/lib/cni/results", c.paths.cniName()+"-"),
		os.RemoveAll(filepath.Join(runRoot, c.config.Name)),
		os.RemoveAll(c.config.Dir),
		os.RemoveAll(c.paths.supervisorLock()),
		os.RemoveAll(c.paths.lock()), // last: until then others must wait
	)
}

// removeLinksInto deletes the links in dir that lead into the other directory:
// the kubelets' links to the logs of containers.
func removeLinksInto(dir, into string) error {
	return removeIf(dir, func(entry fs.DirEntry) bool {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		return err == nil && strings.HasPrefix(target, into+"/")
	})
}

func removeMatches(dir, prefix string) error {
	return removeIf(dir, func(entry fs.DirEntry) bool { return strings.HasPrefix(entry.Name(), prefix) })
}

func removeIf(dir string, match func(fs.DirEntry) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, entry := range entries {
		if match(entry) {
			errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(append(errs, err)...)
}
