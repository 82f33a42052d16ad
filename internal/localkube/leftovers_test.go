package localkube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// remains is what cannot be told from a cluster's name, noted while it is up.
type remains struct {
	slot   int
	known  bool
	spaces []string // network namespaces, as in "net:[4026532123]"
}

func remainsOf(t *testing.T, c *Cluster) remains {
	t.Helper()
	groups, err := detectCgroups(c.config.Name)
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	r := remains{slot: layoutOf(t, c).slot, known: true}
	for _, pid := range groups.processes("") {
		if space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && space != own {
			r.spaces = append(r.spaces, space)
		}
	}
	slices.Sort(r.spaces)
	r.spaces = slices.Compact(r.spaces)
	return r
}

// leftovers lists all that the machine holds of the cluster, each as "KIND
// what". It looks at the machine as a whole and takes what belongs to this
// cluster, because others come and go at the same time.
func leftovers(t *testing.T, c *Cluster, r remains) []string {
	t.Helper()
	var left []string
	add := func(kind, what string) { left = append(left, kind+" "+what) }
	dirs := []string{c.config.Dir, filepath.Join(runRoot, c.config.Name)}
	mentions := func(text string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return strings.Contains(text, dir+"/") }) ||
			strings.Contains(text, "/towline-cluster-"+c.config.Name+"/")
	}
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, proc := range files {
		command, _ := os.ReadFile(proc + "/cmdline")
		groups, _ := os.ReadFile(proc + "/cgroup")
		if filepath.Base(proc) != strconv.Itoa(os.Getpid()) && (mentions(string(command)) || mentions(string(groups))) {
			add("process", filepath.Base(proc)+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
		if space, err := os.Readlink(proc + "/ns/net"); err == nil && slices.Contains(r.spaces, space) {
			add("namespace", space+" of process "+filepath.Base(proc))
		}
	}
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		if mentions(line) || slices.ContainsFunc(r.spaces, func(space string) bool { return strings.Contains(line, space) }) {
			add("mount", line)
		}
	}
	leftGroups(t, c, add)
	for _, dir := range append(dirs, c.paths.lock(), c.paths.supervisorLock()) {
		if _, err := os.Lstat(dir); err == nil {
			add("file", dir)
		}
	}
	if r.known {
		leftNetwork(t, newLayout(r.slot), add)
	}
	return left
}

func leftGroups(t *testing.T, c *Cluster, add func(kind, what string)) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range found {
			if base := filepath.Base(group); base == "towline-cluster-"+c.config.Name || base == scopeUnit(c.config.Name) {
				add("cgroup", group)
			}
		}
	}
}

func leftNetwork(t *testing.T, l layout, add func(kind, what string)) {
	t.Helper()
	links, err := whole(netlink.LinkList)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if name := link.Attrs().Name; name == l.bridge() || isVeth(name, l) {
			add("link", name)
		}
	}
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routes {
		if to, ok := conflict(l, route); ok {
			add("route", to.String())
		}
	}
	out, err := exec.CommandContext(t.Context(), "nft", "list", "tables").CombinedOutput()
	if err != nil {
		t.Fatalf("nft (package nftables): %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) == "table ip "+l.bridge() {
			add("nft", line)
		}
	}
}

func leftoverKinds(left []string) []string {
	var kinds []string
	for _, l := range left {
		kind, _, _ := strings.Cut(l, " ")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
