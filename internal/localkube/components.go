package localkube

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"
)

//go:embed templates
var templates embed.FS

// plan is all that the components' command lines and files are made from.
type plan struct {
	state
	layout
	paths
	cgroups
}

// spec describes one supervised process.
type spec struct {
	name string // of the component, e.g. "node1/kubelet"
	args []string
	env  []string
	// netns is the file of the network namespace that it runs in; "" is the
	// machine's own.
	netns string
	log   string
}

func (p plan) kubebox() string { return filepath.Join(p.Binaries, "kubebox") }

func (p plan) component(name string, args ...string) spec {
	return spec{
		name: name,
		args: append([]string{p.kubebox(), name}, args...),
		env:  []string{"PATH=" + searchPath(), "HOME=" + p.dir},
		log:  p.log(name),
	}
}

// searchPath is where components look for the system's programs: nft, mount,
// modprobe. An administrator's PATH may lack the sbin directories.
func searchPath() string {
	return os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
}

func (p plan) etcd() spec {
	client, peer := p.layout.etcd(), "https://"+address(p.loopback(), etcdPeerPort)
	cert, key, ca := p.pki("etcd.crt"), p.pki("etcd.key"), p.pki("etcd-ca.crt")
	return p.component("etcd",
		"--data-dir="+p.in("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--cert-file="+cert, "--key-file="+key, "--trusted-ca-file="+ca, "--client-cert-auth",
		"--peer-cert-file="+cert, "--peer-key-file="+key, "--peer-trusted-ca-file="+ca, "--peer-client-cert-auth",
		// What a power cut may take from a local cluster is not worth waiting
		// for the disk at each write. A killed process loses nothing by it.
		"--unsafe-no-fsync", "--log-level=warn",
	)
}

func (p plan) apiserver() spec {
	return p.component("kube-apiserver",
		"--etcd-servers="+p.layout.etcd(),
		"--etcd-cafile="+p.pki("etcd-ca.crt"), "--etcd-certfile="+p.pki(userEtcd+".crt"), "--etcd-keyfile="+p.pki(userEtcd+".key"),
		fmt.Sprintf("--bind-address=%s", p.host()), fmt.Sprintf("--advertise-address=%s", p.host()), fmt.Sprintf("--secure-port=%d", apiPort),
		"--tls-cert-file="+p.pki("apiserver.crt"), "--tls-private-key-file="+p.pki("apiserver.key"), "--client-ca-file="+p.pki("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--kubelet-certificate-authority="+p.pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate="+p.pki(userAPIServer+".crt"), "--kubelet-client-key="+p.pki(userAPIServer+".key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+p.pki("sa.key"), "--service-account-signing-key-file="+p.pki("sa.key"),
		"--service-cluster-ip-range="+p.services().String(), "--service-node-port-range=30000-32767",
		"--allow-privileged=true", "--profiling=false",
	)
}

func (p plan) manager() spec {
	return p.component("kube-controller-manager",
		"--kubeconfig="+p.kubeconfig(userManager), "--use-service-account-credentials",
		"--service-account-private-key-file="+p.pki("sa.key"), "--root-ca-file="+p.pki("ca.crt"),
		"--cluster-signing-cert-file="+p.pki("ca.crt"), "--cluster-signing-key-file="+p.pki("ca.key"),
		// The pods of node N have the N-th /24, which its CNI file says.
		"--allocate-node-cidrs=false",
		"--leader-elect=false", "--profiling=false",
		fmt.Sprintf("--bind-address=%s", p.loopback()), fmt.Sprintf("--secure-port=%d", managerPort), "--cert-dir="+p.in("kube-controller-manager"),
	)
}

func (p plan) scheduler() spec {
	return p.component("kube-scheduler",
		"--kubeconfig="+p.kubeconfig(userScheduler), "--leader-elect=false", "--profiling=false",
		fmt.Sprintf("--bind-address=%s", p.loopback()), fmt.Sprintf("--secure-port=%d", schedulerPort), "--cert-dir="+p.in("kube-scheduler"),
	)
}

func (p plan) coreDNS() spec { return p.component("coredns", p.in("Corefile")) }

func (p plan) writeCorefile() error {
	upstream := ""
	// Without a resolver to ask, CoreDNS would refuse to start.
	if text, err := os.ReadFile(resolvConf); err == nil && strings.Contains("\n"+string(text), "\nnameserver") {
		upstream = resolvConf
	}
	return p.render("Corefile", p.in("Corefile"), map[string]any{
		"Port": dnsPort, "Host": p.host(), "Ready": address(p.loopback(), dnsReadyPort),
		"Kubeconfig": p.kubeconfig(userDNS), "Upstream": upstream,
	})
}

const resolvConf = "/etc/resolv.conf"

// pauseImage names the image that holds each pod's namespaces.
const pauseImage = "local.towline/pause:1"

// writeNodeFiles writes the configuration of node n's components.
func (p plan) writeNodeFiles(n int) error {
	for _, dir := range []string{p.paths.node(n, "cni"), p.paths.node(n, "kubelet"), p.certsD(), p.run(n), p.shims(n)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	values := map[string]any{
		"Name": nodeName(n), "Dir": p.paths.node(n), "Run": p.run(n), "Shims": p.shims(n), "Socket": p.containerdSocket(n), "Binaries": p.Binaries,
		"CertsD": p.certsD(), "PauseImage": pauseImage, "Snapshotter": snapshotter(p.dir), "CNIName": p.cniName(),
		"NodePods": p.nodePods(n), "Pods": p.pods(), "Address": p.layout.node(n), "DNS": p.dnsService(),
		"Certificate": p.pki(nodeName(n)), "CA": p.pki("ca.crt"), "Cgroup": p.cgroups.node(n), "Kubeconfig": p.kubeconfig(userProxy),
	}
	files := map[string]string{
		"containerd.toml": p.paths.node(n, "containerd.toml"),
		"kubelet.yaml":    p.paths.node(n, "kubelet.yaml"),
		"kube-proxy.yaml": p.paths.node(n, "kube-proxy.yaml"),
		"cni.conflist":    p.paths.node(n, "cni", "10-towline.conflist"),
	}
	for name, path := range files {
		if err := p.render(name, path, values); err != nil {
			return err
		}
	}
	return nil
}

// cniName is the name of the pods' network, by which its files outside of the
// state directory are known.
func (p paths) cniName() string { return "towline-" + p.name }

// snapshotter is how containerd stacks image layers. An overlay cannot lie on
// another, as it would in a container, so there the layers are copied.
func snapshotter(dir string) string {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err == nil && stat.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

func (p plan) render(name, path string, values map[string]any) error {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return fmt.Errorf("read template %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, values); err != nil {
		return fmt.Errorf("fill template %s: %w", name, err)
	}
	return writeFile(path, text.Bytes())
}

func (p plan) onNode(n int, s spec) spec {
	s.name = nodeName(n) + "/" + s.name
	s.netns = p.netns(n)
	s.log = p.log(strings.ReplaceAll(s.name, "/", "-"))
	return s
}

func (p plan) containerd(n int) spec {
	s := p.component("containerd")
	s.args = []string{filepath.Join(p.Binaries, "containerd"), "--config", p.paths.node(n, "containerd.toml")}
	// containerd finds its shim by PATH, and pulls images through the proxy of
	// the machine's environment, but never those on the cluster's own network.
	s.env[0] = "PATH=" + p.Binaries + ":" + searchPath()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value := os.Getenv(name); value != "" {
			s.env = append(s.env, name+"="+value)
		}
	}
	s.env = append(s.env, "NO_PROXY="+strings.Trim(os.Getenv("NO_PROXY")+","+p.network().String(), ","))
	return p.onNode(n, s)
}

func (p plan) kubelet(n int) spec {
	return p.onNode(n, p.component("kubelet",
		"--config="+p.paths.node(n, "kubelet.yaml"), "--kubeconfig="+p.kubeconfig(nodeName(n)), "--root-dir="+p.paths.node(n, "kubelet"),
		"--cert-dir="+p.paths.node(n, "kubelet", "pki"), "--hostname-override="+nodeName(n), fmt.Sprintf("--node-ip=%s", p.layout.node(n)),
	))
}

func (p plan) kubeProxy(n int) spec {
	return p.onNode(n, p.component("kube-proxy", "--config="+p.paths.node(n, "kube-proxy.yaml")))
}
