package localkube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Requirement is something that the machine lacks.
type Requirement struct {
	What string `json:"what"` // e.g. "nft is not installed"
	Mend string `json:"mend"` // the command or change that mends it
}

// MissingError lists everything that the machine lacks, at once.
type MissingError struct{ Missing []Requirement }

func (e *MissingError) Error() string {
	var text strings.Builder
	text.WriteString("this machine cannot run a local Kubernetes yet:")
	for _, r := range e.Missing {
		fmt.Fprintf(&text, "\n  - %s: %s", r.What, r.Mend)
	}
	return text.String()
}

// The memory and disk that a cluster needs, in bytes, as measured.
const (
	memoryControlPlane = 800 << 20
	memoryNode         = 330 << 20
	memoryCompile      = 3500 << 20
	diskCluster        = 2 << 30
	diskCompile        = 8 << 30
)

// requireMachine checks what a running cluster needs. more is how many nodes
// are to be started beyond those that run, or -1 when all runs already.
func requireMachine(ctx context.Context, dir string, more int) []Requirement {
	var missing []Requirement
	lack := func(what, mend string) { missing = append(missing, Requirement{What: what, Mend: mend}) }
	if os.Geteuid() != 0 {
		lack("you are not root, who alone can make network namespaces and containers", "run the command with sudo")
		// All that follows would fail for the same reason.
		return append(missing, requireTools()...)
	}
	missing = append(missing, requireTools()...)
	missing = append(missing, requireKernel(ctx)...)
	need := int64(max(more, 0)) * memoryNode
	if more >= 0 {
		need += memoryControlPlane
	}
	if free, err := availableMemory(); err == nil && free < need {
		lack(fmt.Sprintf("%d MB of memory are free, the cluster needs %d MB", free>>20, need>>20), "stop other programs, or ask for fewer nodes")
	}
	return append(missing, requireDisk(dir, diskCluster, "the cluster")...)
}

func requireTools() []Requirement {
	var missing []Requirement
	for _, tool := range []struct{ program, packages string }{
		{"nft", "nftables"},
		{"iptables-restore", "iptables"},
		{"mount", "mount (Debian) or util-linux (others)"},
	} {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, Requirement{What: tool.program + " is not on PATH", Mend: install(tool.packages)})
		}
	}
	return missing
}

// requireCompiler checks what compiling the binaries needs.
func requireCompiler(ctx context.Context, cache string) []Requirement {
	var missing []Requirement
	if _, err := exec.LookPath("gcc"); err != nil {
		missing = append(missing, Requirement{What: "gcc is not on PATH; runc is partly written in C", Mend: install("gcc libc6-dev (Debian) or gcc glibc-devel (Fedora)")})
	}
	if err := exec.CommandContext(ctx, "pkg-config", "--exists", "libseccomp").Run(); err != nil {
		missing = append(missing, Requirement{What: "the headers of libseccomp, which runc needs, are not found by pkg-config", Mend: install("libseccomp-dev pkg-config (Debian) or libseccomp-devel pkgconf (Fedora)")})
	}
	if free, err := availableMemory(); err == nil && free < memoryCompile {
		missing = append(missing, Requirement{
			What: fmt.Sprintf("%d MB of memory are free, compiling Kubernetes needs %d MB", free>>20, memoryCompile>>20),
			Mend: "stop other programs, or add swap",
		})
	}
	return append(missing, requireDisk(cache, diskCompile, "compiling Kubernetes")...)
}

func requireGo() []Requirement {
	if _, err := exec.LookPath("go"); err != nil {
		return []Requirement{{What: "go is not on PATH; Kubernetes is compiled from its modules", Mend: "install Go 1.26 or newer from https://go.dev/dl and add its bin directory to PATH"}}
	}
	return nil
}

// install is the command that installs a package with the machine's own
// package manager.
func install(packages string) string {
	debian, other, both := strings.Cut(packages, " (Debian) or ")
	if !both {
		other = packages
	}
	other, _, _ = strings.Cut(other, " (")
	for _, manager := range [][2]string{{"apt-get", "install -y " + debian}, {"dnf", "install -y " + other}, {"zypper", "install -y " + other}, {"pacman", "-S " + other}, {"apk", "add " + other}} {
		if _, err := exec.LookPath(manager[0]); err == nil {
			return manager[0] + " " + manager[1]
		}
	}
	return "install the package " + packages
}

// requireKernel tries out what cannot be read off: each feature is used once,
// in a network namespace that vanishes again.
func requireKernel(ctx context.Context) []Requirement {
	var missing []Requirement
	lack := func(what, mend string) { missing = append(missing, Requirement{What: what, Mend: mend}) }
	_ = exec.CommandContext(ctx, "modprobe", "-a", "overlay", "bridge", "veth", "nf_tables", "nf_conntrack", "nft_masq", "nft_fib_ipv4", "nft_compat",
		"xt_nat", "xt_MASQUERADE", "xt_mark", "xt_comment", "xt_statistic", "xt_addrtype", "xt_conntrack", "ipt_REJECT").Run() // Built-in features need no module.
	if text, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(text), "\toverlay\n") {
		lack("the kernel has no overlay file system", "modprobe overlay")
	}
	err := inFreshNetNS(func() error {
		bridge := netlink.NewLinkAttrs()
		bridge.Name = "probe0"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: bridge}); err != nil {
			lack("the kernel makes no bridge ("+err.Error()+")", "modprobe bridge")
		}
		veth := netlink.NewLinkAttrs()
		veth.Name = "probe1"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: veth, PeerName: "probe2"}); err != nil {
			lack("the kernel makes no veth pair ("+err.Error()+")", "modprobe veth")
		}
		if _, err := exec.LookPath("nft"); err != nil {
			return nil //nolint:nilerr // That nft is missing has been said already.
		}
		if err := nft(ctx, portMapProbe); err != nil {
			lack("the kernel refuses the nftables rules that host ports need ("+err.Error()+")", "modprobe -a nf_tables nft_nat nft_masq nft_fib_ipv4; kernel 5.13 or newer")
		}
		if _, err := exec.LookPath("iptables-restore"); err != nil {
			return nil //nolint:nilerr // That too.
		}
		if err := iptables(ctx, kubeProxyProbe); err != nil {
			lack("the kernel refuses the iptables rules that Services need ("+err.Error()+")", "modprobe -a nft_compat xt_nat xt_MASQUERADE xt_mark xt_comment xt_statistic xt_addrtype xt_conntrack ipt_REJECT")
		}
		return nil
	})
	if err != nil {
		lack(err.Error(), "a container must be privileged to run a local cluster")
	}
	// Kubelets have one fixed directory, in which each removes what it finds.
	if _, err := os.Stat("/var/lib/kubelet/config.yaml"); err == nil {
		lack("this machine is a node of another Kubernetes (it has /var/lib/kubelet/config.yaml)", "use that cluster by its kubeconfig, or another machine")
	}
	if _, err := detectCgroups(""); err != nil {
		lack("control groups cannot be used ("+err.Error()+")", "mount them, see docs/local-cluster.md")
	}
	return missing
}

// portMapProbe uses each kind of rule that the CNI plugins make.
const portMapProbe = `table ip probe {
  map ports { type inet_proto . inet_service : verdict; }
  chain nat { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local meta l4proto . th dport vmap @ports
  }
  chain a { ip protocol tcp ct state new dnat to 127.0.0.1:1; }
  chain post { type nat hook postrouting priority srcnat; policy accept; masquerade; }
}
`

// kubeProxyProbe uses each kind of rule that kube-proxy makes.
const kubeProxyProbe = `*filter
:PROBE - [0:0]
-A PROBE -m conntrack --ctstate INVALID -j DROP
-A PROBE -m comment --comment "no endpoints" -m addrtype --dst-type LOCAL -j REJECT
COMMIT
*nat
:PROBE - [0:0]
-A PROBE -m statistic --mode random --probability 0.5 -j MARK --or-mark 0x4000
-A PROBE -p tcp -m tcp -m mark ! --mark 0x4000/0x4000 -j DNAT --to-destination 127.0.0.1:1
-A POSTROUTING -j MASQUERADE --random-fully
COMMIT
`

func requireDisk(dir string, need int64, what string) []Requirement {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return nil
	}
	if free := int64(stat.Bavail) * stat.Bsize; free < need {
		return []Requirement{{
			What: fmt.Sprintf("%d MB are free on the disk of %s, %s needs %d MB", free>>20, dir, what, need>>20),
			Mend: "free some space there",
		}}
	}
	return nil
}

func availableMemory() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemAvailable:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("read /proc/meminfo: no line MemAvailable")
}
