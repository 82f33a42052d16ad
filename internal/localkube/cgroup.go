package localkube

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups is the cluster's part of the machine's control groups. All of the
// cluster's processes live in it: the supervised ones and the shims in its
// child "system", the pods in a child per node, which is that kubelet's root.
// So Down finds every process of the cluster, whatever else has been lost.
type cgroups struct {
	// unified is cgroup v2; otherwise each controller has a tree of its own.
	unified bool
	// trees are the mount points of the trees. There is one if unified.
	trees []tree
	// base is the cluster's group in each tree, e.g. "/towline-cluster-dev".
	base string
}

type tree struct {
	mount       string
	controllers []string // v1: those of the tree, e.g. "cpu", "cpuacct"
}

const cgroupRoot = "/sys/fs/cgroup"

// scopeUnit is the systemd unit that holds the cluster on cgroup v2.
func scopeUnit(name string) string { return "towline-cluster-" + name + ".scope" }

// detectCgroups finds out how the machine has its control groups. On v2 with
// systemd the cluster lives in a scope of its own that systemd delegates,
// since a group beside systemd's would lose its controllers at systemd's whim.
func detectCgroups(name string) (cgroups, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &stat); err != nil {
		return cgroups{}, &Error{Message: cgroupRoot + " is not mounted", Hint: "mount -t cgroup2 none " + cgroupRoot, Err: err}
	}
	if stat.Type == unix.CGROUP2_SUPER_MAGIC {
		base := "/towline-cluster-" + name
		if underSystemd() {
			base = "/system.slice/" + scopeUnit(name)
		}
		return cgroups{unified: true, trees: []tree{{mount: cgroupRoot}}, base: base}, nil
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, err
	}
	defer f.Close()
	trees, err := parseTrees(f)
	if err != nil {
		return cgroups{}, err
	}
	return cgroups{trees: trees, base: "/towline-cluster-" + name}, nil
}

func underSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// parseTrees reads the control group trees of a v1 or hybrid machine from the
// text of /proc/PID/mountinfo. The v2 tree of a hybrid machine, which has no
// controllers, is among them: runc puts containers into it as well.
func parseTrees(mountinfo io.Reader) ([]tree, error) {
	var trees []tree
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		front, back, ok := strings.Cut(lines.Text(), " - ")
		head, tail := strings.Fields(front), strings.Fields(back)
		if !ok || len(head) < 5 || len(tail) < 3 || !strings.HasPrefix(head[4], cgroupRoot) {
			continue
		}
		// Of several mounts of one tree, the one that shows it whole counts.
		if head[3] != "/" || slices.ContainsFunc(trees, func(t tree) bool { return t.mount == head[4] }) {
			continue
		}
		switch tail[0] {
		case "cgroup":
			var controllers []string
			for option := range strings.SplitSeq(tail[2], ",") {
				if option != "rw" && option != "ro" && option != "xattr" {
					controllers = append(controllers, option)
				}
			}
			trees = append(trees, tree{mount: head[4], controllers: controllers})
		case "cgroup2":
			trees = append(trees, tree{mount: head[4]})
		}
	}
	if len(trees) == 0 {
		return nil, &Error{Message: "no control groups are mounted under " + cgroupRoot, Hint: "a container must be privileged and have " + cgroupRoot + " to run a local cluster"}
	}
	return trees, lines.Err()
}

// node is the control group of node n, as the kubelet is told it.
func (g cgroups) node(n int) string { return path.Join(g.base, nodeName(n)) }

// system is the control group of the supervised processes.
func (g cgroups) system() string { return path.Join(g.base, "system") }

// exists tells whether something is left of the cluster's groups.
func (g cgroups) exists() bool {
	return slices.ContainsFunc(g.trees, func(t tree) bool {
		_, err := os.Stat(filepath.Join(t.mount, g.base))
		return err == nil
	})
}

// ensureNodes makes the groups of the nodes, with all of their controllers. On
// v2 that is possible only when no process is in the base itself, so the
// supervisor enters its own group first.
func (g cgroups) ensureNodes(nodes int) error {
	for n := 1; n <= nodes; n++ {
		if err := g.create(g.node(n)); err != nil {
			return err
		}
	}
	if g.unified {
		return enableControllers(g.trees[0].mount, g.base)
	}
	return nil
}

func (g cgroups) create(group string) error {
	for _, t := range g.trees {
		if err := os.MkdirAll(filepath.Join(t.mount, group), 0o755); err != nil {
			return fmt.Errorf("create control group: %w", err)
		}
		if slices.Contains(t.controllers, "cpuset") {
			if err := fillCpuset(t.mount, group); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillCpuset hands the processors and memory banks down to the group. A v1
// cpuset starts empty, and a process cannot enter an empty one.
func fillCpuset(mount, group string) error {
	dir := mount
	for element := range strings.SplitSeq(strings.Trim(group, "/"), "/") {
		parent := dir
		dir = filepath.Join(dir, element)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				return fmt.Errorf("read control group: %w", err)
			}
			if strings.TrimSpace(string(have)) != "" {
				continue
			}
			value, err := os.ReadFile(filepath.Join(parent, file))
			if err != nil {
				return fmt.Errorf("read control group: %w", err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0o600); err != nil {
				return fmt.Errorf("fill control group: %w", err)
			}
		}
	}
	return nil
}

// kubeletControllers are the ones that a kubelet insists on in its root group,
// as far as the machine has them.
var kubeletControllers = []string{"cpu", "cpuset", "memory", "hugetlb", "pids"}

// enableControllers hands every controller of the machine down to the group
// and to its children. runc does the same for its containers, so this works
// beside systemd, too.
func enableControllers(mount, group string) error {
	dirs := []string{mount}
	for element := range strings.SplitSeq(strings.Trim(group, "/"), "/") {
		dirs = append(dirs, filepath.Join(dirs[len(dirs)-1], element))
	}
	for _, dir := range dirs {
		available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("read control group: %w", err)
		}
		for controller := range strings.FieldsSeq(string(available)) {
			err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o600)
			if err != nil && slices.Contains(kubeletControllers, controller) {
				return &Error{
					Message: fmt.Sprintf("the %s controller cannot be enabled below %s", controller, dir),
					Hint:    "in a container without systemd, move the processes of the root control group into a child of it first",
					Err:     err,
				}
			}
		}
	}
	return nil
}

// enter moves the calling process into the system group, so that its children
// are born there. On v1 it moves in two trees only: "pids", by which the
// processes are found again, and systemd's own, so that the end of the user's
// session does not end the cluster. What memory and processors the supervisor
// may have stays as it was.
func (g cgroups) enter() error {
	if err := g.create(g.system()); err != nil {
		return err
	}
	for _, t := range g.trees {
		if g.unified || slices.Contains(t.controllers, "pids") || slices.Contains(t.controllers, "name=systemd") {
			file := filepath.Join(t.mount, g.system(), "cgroup.procs")
			if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
				return fmt.Errorf("enter control group: %w", err)
			}
		}
	}
	return nil
}

// processes returns the processes in the cluster's group, or in a child of it.
func (g cgroups) processes(child string) []int {
	found := map[int]bool{}
	for _, t := range g.trees {
		_ = filepath.WalkDir(filepath.Join(t.mount, g.base, child), func(dir string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // Groups vanish while we look, and what is gone has no processes.
			}
			if d.IsDir() {
				for _, pid := range readPIDs(filepath.Join(dir, "cgroup.procs")) {
					found[pid] = true
				}
			}
			return nil
		})
	}
	var pids []int
	for pid := range found {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

func readPIDs(file string) []int {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// remove deletes the cluster's groups, which must be empty of processes.
func (g cgroups) remove() error {
	var errs []error
	for _, t := range g.trees {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(t.mount, g.base), func(dir string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, dir)
			}
			return nil
		})
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove control group: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}
