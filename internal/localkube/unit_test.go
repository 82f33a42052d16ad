package localkube

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestNewChecksTheConfiguration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config Config
		want   string // part of the error
	}{
		{"the default", Config{}, ""},
		{"a name that leaves the directory", Config{Name: "../x"}, "lower-case letters"},
		{"a name that is too long for a file of sockets", Config{Name: "abcdefghijklmnopq"}, "16 characters"},
		{"a negative number of nodes", Config{Nodes: -1}, "0 to 20"},
		{"too many nodes", Config{Nodes: 21}, "0 to 20"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(test.config)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("New(%+v) = %v, want an error with %q", test.config, err, test.want)
			}
		})
	}
}

func TestLayoutsOfAllSlotsAreApart(t *testing.T) {
	t.Parallel()
	var taken []netip.Prefix
	for slot := range slots {
		l := newLayout(slot)
		for _, r := range l.ranges() {
			for _, other := range taken {
				if r.Overlaps(other) {
					t.Errorf("slot %d: %s overlaps %s", slot, r, other)
				}
			}
			taken = append(taken, r)
		}
		if dir := newPaths("abcdefghijklmnop", "").shims(maxNodes); len(dir) > 38 {
			t.Errorf("containerd refuses %q for the sockets of shims", dir)
		}
		if len(l.veth(maxNodes)) > 15 {
			t.Errorf("the link name %q is longer than Linux allows", l.veth(maxNodes))
		}
	}
	l := newLayout(0)
	got := []string{l.host().String(), l.node(1).String(), l.nodePods(2).String(), l.apiService().String(), l.dnsService().String(), l.apiServer(), l.etcd()}
	want := []string{"10.78.0.1", "10.78.0.11", "10.245.2.0/24", "10.97.0.1", "10.97.0.10", "https://10.78.0.1:6443", "https://127.78.0.1:2379"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses of slot 0 (-want +got)\n%s", diff)
	}
}

func TestSlotOrder(t *testing.T) {
	t.Parallel()
	if got := slotOrder(DefaultName, -1); got[0] != 0 || len(got) != slots {
		t.Errorf("the default cluster tries %v, want slot 0 first", got)
	}
	if got := slotOrder("other", -1); slices.Contains(got, 0) {
		t.Errorf("another cluster tries %v, want slot 0 left alone", got)
	}
	if got := slotOrder("other", 7); !slices.Equal(got, []int{7}) {
		t.Errorf("a cluster with slot 7 tries %v, want only that", got)
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, route string
		want        bool
	}{
		{"the same network", "10.78.0.0/24", true},
		{"one address of the pods", "10.245.3.4/32", true},
		{"a network that holds the services", "10.96.0.0/12", true},
		{"another cluster", "10.79.0.0/24", false},
		{"all private addresses of a VPN", "10.0.0.0/8", false},
		{"the default route", "0.0.0.0/0", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, dst, err := net.ParseCIDR(test.route)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := conflict(newLayout(0), netlink.Route{Dst: dst}); got != test.want {
				t.Errorf("conflict(%s) = %t, want %t", test.route, got, test.want)
			}
		})
	}
}

const hybridMountinfo = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 27 0:31 /some/part /sys/fs/cgroup/part rw - cgroup cgroup rw,cpuset
43 27 0:50 / /var rw - ext4 /dev/vda rw
`

func TestParseTreesOfAHybridMachine(t *testing.T) {
	t.Parallel()
	got, err := parseTrees(strings.NewReader(hybridMountinfo))
	if err != nil {
		t.Fatal(err)
	}
	want := []tree{
		{"/sys/fs/cgroup/cpu,cpuacct", []string{"cpu", "cpuacct"}},
		{"/sys/fs/cgroup/cpuset", []string{"cpuset"}},
		{"/sys/fs/cgroup/systemd", []string{"name=systemd"}},
		{"/sys/fs/cgroup/unified", nil},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tree{})); diff != "" {
		t.Errorf("trees (-want +got)\n%s", diff)
	}
	if _, err := parseTrees(strings.NewReader("43 27 0:50 / /var rw - ext4 /dev/vda rw\n")); err == nil {
		t.Error("a machine without control groups gives no error")
	}
}

// The v2 code cannot meet a real v2 tree on a v1 machine, so this test gives
// it a directory that looks like one.
func TestUnifiedGroupsGetTheirControllers(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	base := "/system.slice/towline-cluster-x.scope"
	for _, dir := range []string{"", "system.slice", "system.slice/towline-cluster-x.scope"} {
		write(t, filepath.Join(mount, dir, "cgroup.controllers"), "cpuset cpu io memory hugetlb pids\n")
		write(t, filepath.Join(mount, dir, "cgroup.subtree_control"), "")
	}
	g := cgroups{unified: true, trees: []tree{{mount: mount}}, base: base}
	if err := g.ensureNodes(2); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "system.slice", base} {
		if text := read(t, filepath.Join(mount, dir, "cgroup.subtree_control")); text != "+pids" { // the last one written
			t.Errorf("%s: subtree_control got %q last, want +pids", dir, text)
		}
	}
	for n := 1; n <= 2; n++ {
		if _, err := os.Stat(filepath.Join(mount, g.node(n))); err != nil {
			t.Error(err)
		}
	}
}

func TestCpusetsAreHandedDown(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	for dir, text := range map[string]string{"": "0-3\n", "base": "", "base/node1": "\n"} {
		write(t, filepath.Join(mount, dir, "cpuset.cpus"), text)
		write(t, filepath.Join(mount, dir, "cpuset.mems"), text)
	}
	if err := fillCpuset(mount, "/base/node1"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(mount, "base/node1/cpuset.cpus")); got != "0-3\n" {
		t.Errorf("cpuset.cpus of the node = %q, want its parent's", got)
	}
}

func TestCertificatesVerify(t *testing.T) {
	t.Parallel()
	p, l := newPaths("x", t.TempDir()), newLayout(3)
	if err := os.MkdirAll(p.in("pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ensureControlPlanePKI(p, l); err != nil {
		t.Fatal(err)
	}
	if err := ensureNodePKI(p, l, 1); err != nil {
		t.Fatal(err)
	}
	admin := read(t, p.pki("admin.crt"))
	if err := ensureControlPlanePKI(p, l); err != nil {
		t.Fatal(err)
	}
	if read(t, p.pki("admin.crt")) != admin {
		t.Error("a second call made new certificates")
	}
	for _, c := range append(controlPlaneCertificates(l), nodeCertificate(l, 1)) {
		if c.issuer == "" {
			continue
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(read(t, p.pki(c.issuer+".crt"))))
		block, _ := pem.Decode([]byte(read(t, p.pki(c.file+".crt"))))
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range append(c.hosts, "") {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Errorf("%s for %q: %v", c.file, host, err)
			}
		}
	}
	files, err := filepath.Glob(p.in("*", "*"))
	if err != nil || len(files) < 20 {
		t.Fatalf("files = %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", file, info.Mode(), err)
		}
	}
}

func TestTrustRegistryRefusesWhatIsNoRegistry(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Config{Name: "unit-registry", Dir: t.TempDir()})
	if err := writeJSON(c.paths.state(), state{Name: "unit-registry"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, host, url, authorization string }{
		{"a path as host", "../../etc", "http://10.78.0.1:1", ""},
		{"a host with a slash", "a/b", "http://10.78.0.1:1", ""},
		{"no host", "", "http://10.78.0.1:1", ""},
		{"a file URL", "r.local", "file:///etc", ""},
		{"a URL with a password", "r.local", "http://a:b@10.78.0.1", ""},
		{"a header of two lines", "r.local", "http://10.78.0.1:1", "Basic x\nX: y"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := c.TrustRegistry(t.Context(), test.host, test.url, test.authorization); err == nil {
				t.Error("TrustRegistry gave no error")
			}
		})
	}
	if err := c.TrustRegistry(t.Context(), "r.local:5000", "http://10.78.0.1:5000", `Basic "x"`); err != nil {
		t.Fatal(err)
	}
	want := "server = \"http://10.78.0.1:5000\"\n\n[host.\"http://10.78.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n" +
		"  [host.\"http://10.78.0.1:5000\".header]\n    authorization = \"Basic \\\"x\\\"\"\n"
	file := filepath.Join(c.paths.certsD(), "r.local_5000_", "hosts.toml")
	if diff := cmp.Diff(want, read(t, file)); diff != "" {
		t.Errorf("hosts.toml (-want +got)\n%s", diff)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("hosts.toml has mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestMeterEstimatesByTheWeightOfSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := &meter{weight: map[string]int64{}}
	var list strings.Builder
	for i := range 100 {
		file := fmt.Sprintf("f%d.go", i)
		write(t, filepath.Join(dir, file), strings.Repeat("x", 10))
		fmt.Fprintf(&list, "example.com/p%d\t%s\t%s\n", i, dir, file)
	}
	m.note("go: downloading example.com/p0 v1.0.0")
	if got, want := m.line(3*time.Second), "compiling Kubernetes: 1 modules downloaded, 3s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	m.add(list.String())
	m.begin("kubebox")
	if got, want := m.line(time.Minute), "compiling Kubernetes: linking kubebox from Go's build cache, 1m0s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	for i := range 50 {
		m.note(fmt.Sprintf("example.com/p%d", i))
		m.note(fmt.Sprintf("example.com/p%d", i)) // Named twice, counted once.
	}
	if got, want := m.line(5*time.Minute), "compiling Kubernetes: kubebox, 50 of at most 100 packages, 5m0s, at most 5m0s left"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	errors := m.read(strings.NewReader("example.com/p60\n# example.com/p60\nx.go:1: undefined: y\n"))
	if diff := cmp.Diff([]string{"# example.com/p60", "x.go:1: undefined: y"}, errors); diff != "" {
		t.Errorf("what the compiler complained of (-want +got)\n%s", diff)
	}
}

func TestVersionIsThatOfTheModule(t *testing.T) {
	t.Parallel()
	if text := read(t, "../../localkube/kube/go.mod"); !strings.Contains(text, "k8s.io/kubernetes v"+kubernetesVersion+"\n") {
		t.Errorf("localkube/kube/go.mod does not require k8s.io/kubernetes v%s", kubernetesVersion)
	}
}

func TestTrimLogKeepsTheOldText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprint(log, "first, long")
	if err := trimLog(path, 5); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(log, "then") // The writer goes on with the same file.
	if err := trimLog(path, 5); err != nil {
		t.Fatal(err)
	}
	if old, now := read(t, path+".old"), read(t, path); old != "first, long" || now != "then" {
		t.Errorf("after trimming: old %q, now %q", old, now)
	}
}

func TestProcessIsStartedAgainUntilItIsStopped(t *testing.T) {
	t.Parallel()
	changes := make(chan struct{}, 100)
	log := filepath.Join(t.TempDir(), "p.log")
	p := startProcess(t.Context(), spec{name: "p", args: []string{"sh", "-c", "echo hello; sleep 1000"}, env: os.Environ(), log: log},
		slog.New(slog.DiscardHandler), func() { changes <- struct{}{} })
	first := awaitPID(t, p, changes, 0)
	awaitText(t, log, "hello\n")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := awaitPID(t, p, changes, first)
	awaitText(t, log, "hello\nhello\n")
	if got := p.component(); got.Restarts != 1 || got.Exit != "signal: killed" {
		t.Errorf("component = %+v, want one restart after signal: killed", got)
	}
	p.stop(5 * time.Second)
	if err := syscall.Kill(second, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after stop: %v, want it gone", second, err)
	}
}

func awaitText(t *testing.T, path, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := poll(ctx, 10*time.Millisecond, func(context.Context) error {
		text, err := os.ReadFile(path)
		if err == nil && string(text) != want {
			err = fmt.Errorf("%s holds %q, want %q", path, text, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func awaitPID(t *testing.T, p *process, changes <-chan struct{}, not int) int {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case <-changes:
			if pid := p.component().PID; pid != 0 && pid != not {
				return pid
			}
		case <-deadline:
			t.Fatalf("the process does not run: %+v", p.component())
		}
	}
}

func TestLockOutlivesTheRemovalOfItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); !errors.Is(err, errLocked) {
		t.Fatalf("a second lock: %v, want errLocked", err)
	}
	waiting := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		second, err := lock(t.Context(), path, func() { close(waiting) })
		if err == nil {
			_, err = os.Stat(path) // It must be a lock that others can see.
			second.Close()
		}
		got <- err
	}()
	<-waiting
	if err := errors.Join(os.Remove(path), first.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("the lock after the first was released: %v", err)
	}
}

func TestLockWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	if _, err := lock(ctx, path, func() { cancel(enough) }); !errors.Is(err, enough) {
		t.Errorf("lock = %v, want the context's cause", err)
	}
}

func TestWhyANodeIsNotReady(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 11, 1, 12, 0, 0, 500, time.UTC)
	node := func(status string, heartbeat time.Time) (n nodeObject) {
		n.Status.Conditions = append(n.Status.Conditions, struct {
			Type              string    `json:"type"`
			Status            string    `json:"status"`
			Message           string    `json:"message"`
			LastHeartbeatTime time.Time `json:"lastHeartbeatTime"`
		}{"Ready", status, "no network", heartbeat})
		return n
	}
	tests := []struct {
		name string
		node nodeObject
		want string
	}{
		{"ready", node("True", started.Add(time.Second)), ""},
		{"ready within the second of its start", node("True", started.Truncate(time.Second)), ""},
		{"a word from before the restart", node("True", started.Add(-time.Minute)), "its kubelet has not reported since it was started"},
		{"not ready", node("False", started), "no network"},
		{"no word yet", nodeObject{}, "its kubelet has not reported yet"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.node.notReady(started); got != test.want {
				t.Errorf("notReady = %q, want %q", got, test.want)
			}
		})
	}
}

func newCluster(t *testing.T, config Config) *Cluster {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
