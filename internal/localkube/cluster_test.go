package localkube

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// TestCluster takes one cluster through its life. The parts build on each
// other, since each start costs half a minute.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := testCluster(t, "test-life", 1)
	if left := leftovers(t, c, remains{}); len(left) > 0 {
		t.Fatalf("before the test: %v", left)
	}
	if err := upTwiceAtOnce(t, c); err != nil {
		t.Fatal(err)
	}
	image := trustedImage(t, c)
	mustKubectl(t, c, pod("server", "node1", image, "listen::8080")+service, "apply", "-f", "-")
	mustKubectl(t, c, "", "wait", "--for=condition=Ready", "pod/server", "--timeout=120s")
	uid := mustKubectl(t, c, "", "get", "pod", "server", "-o", "jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[0].restartCount}")
	ip := strings.Fields(uid)[1]

	t.Run("this machine reaches Services", func(t *testing.T) {
		address := mustKubectl(t, c, "", "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}:80")
		eventually(t, "dial "+address, func() error { return greet(address) })
	})
	t.Run("pods reach what this machine reaches", func(t *testing.T) {
		address := outsider(t)
		mustKubectl(t, c, pod("traveller", "node1", image, "dial:"+address), "apply", "-f", "-")
		mustKubectl(t, c, "", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/traveller", "--timeout=120s")
	})
	t.Run("a killed component is started again", func(t *testing.T) {
		for _, name := range []string{"kube-scheduler", "node1/containerd"} {
			before := component(t, c, name)
			if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, name+" starts again", func() error {
				if now := component(t, c, name); now.PID == 0 || now.PID == before.PID || now.Restarts != before.Restarts+1 {
					return fmt.Errorf("component is %+v", now)
				}
				return nil
			})
		}
	})
	t.Run("after kill -9 of the supervisor Up mends the cluster and pods live on", func(t *testing.T) {
		killSupervisor(t, c)
		if status := mustStatus(t, c); status.Healthy || !strings.Contains(strings.Join(status.Problems, " "), "supervisor does not run") {
			t.Errorf("status without supervisor = %+v", status)
		}
		if err := c.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := mustKubectl(t, c, "", "get", "pod", "server", "-o", "jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[0].restartCount}"); got != uid {
			t.Errorf("the pod was %s and is %s", uid, got)
		}
		if err := greet(net.JoinHostPort(ip, "8080")); err != nil {
			t.Errorf("the pod does not answer: %v", err)
		}
	})
	t.Run("a larger Up adds a node whose pods reach the others by address and name", func(t *testing.T) {
		larger := *c
		larger.config.Nodes = 2
		if err := larger.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := layoutOf(t, c)
		mustKubectl(t, c, pod("client", "node2", image,
			"dial:"+ip+":8080",
			fmt.Sprintf("resolve:kubernetes.default=%s", l.apiService()),
			"resolve:"+strings.ReplaceAll(ip, ".", "-")+".default.pod.cluster.local="+ip,
			"dial:server.default.svc.cluster.local:80", "dial:server:80",
		), "apply", "-f", "-")
		eventually(t, "the client ends", func() error {
			phase := mustKubectl(t, c, "", "get", "pod", "client", "-o", "jsonpath={.status.phase}")
			if phase != "Succeeded" && phase != "Failed" {
				return fmt.Errorf("the client is %s", phase)
			}
			return nil
		})
		out := mustKubectl(t, c, "", "logs", "client")
		if strings.Count(out, " ok\n") != 5 {
			t.Errorf("the client says:\n%s", out)
		}
		if addresses, err := c.NodeAddresses(); err != nil || len(addresses) != 2 {
			t.Errorf("NodeAddresses = %v, %v, want two", addresses, err)
		}
	})
	t.Run("after a reboot Up brings the pods back", func(t *testing.T) {
		// What a reboot takes: processes, control groups, mounts, links and /run.
		killSupervisor(t, c)
		if err := errors.Join(c.killProcesses(t.Context()), c.unmount(), removeNetwork(t.Context(), layoutOf(t, c)),
			os.RemoveAll(filepath.Join(runRoot, c.config.Name)), os.RemoveAll(c.paths.supervisorLock()), os.RemoveAll(c.paths.lock())); err != nil {
			t.Fatal(err)
		}
		if err := c.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		address := mustKubectl(t, c, "", "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}:80")
		eventually(t, "the pod answers again", func() error { return greet(address) })
	})
	t.Run("Down leaves nothing behind, twice", func(t *testing.T) {
		r := remainsOf(t, c)
		if kinds := leftoverKinds(leftovers(t, c, r)); len(kinds) != 8 {
			t.Fatalf("while the cluster is up, leftovers finds only %v: it could not show a fault", kinds)
		}
		for range 2 {
			if err := c.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing is left", func() error {
				if left := leftovers(t, c, r); len(left) > 0 {
					return fmt.Errorf("%d leftovers: %.2000s", len(left), strings.Join(left, "\n"))
				}
				return nil
			})
		}
	})
}

// TestControlPlane is about clusters without nodes, which are quick to start.
func TestControlPlane(t *testing.T) {
	t.Parallel()
	c := testCluster(t, "test-control", 0)

	t.Run("Up after a start that was cut off brings it up, and Down removes it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		halfway := *c
		halfway.config.Progress = func(line string) {
			if strings.HasPrefix(line, "starting cluster") {
				cancel()
			}
		}
		if err := halfway.Up(ctx); !errors.Is(err, context.Canceled) && err != nil {
			t.Logf("the cut-off Up: %v", err)
		}
		eventually(t, "the supervisor starts etcd", func() error {
			r, _ := c.supervisor()
			if r.started("etcd").IsZero() {
				return errors.New("no etcd")
			}
			return nil
		})
		killSupervisor(t, c)
		if err := c.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustKubectl(t, c, "", "get", "serviceaccount", "default")
		if status := mustStatus(t, c); !status.Healthy || len(status.Nodes) != 0 {
			t.Errorf("status = %+v, want healthy without nodes", status)
		}
	})
	t.Run("the API server is known by its certificate and lets nobody in without one", func(t *testing.T) {
		if text := read(t, c.Kubeconfig()); strings.Contains(text, "insecure") || !strings.Contains(text, "certificate-authority-data") {
			t.Error("the kubeconfig does not verify the API server")
		}
		if info, err := os.Stat(c.Kubeconfig()); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the kubeconfig has mode %v, %v, want 0600", info.Mode(), err)
		}
		if out, err := kubectl(t, c, "", "get", "secrets", "-A", "--as", "towline:coredns"); err == nil {
			t.Errorf("CoreDNS may read secrets: %s", out)
		}
		l := layoutOf(t, c)
		anonymous, err := newAPI(l.etcd(), c.paths.pki("etcd-ca.crt"), c.paths.pki("admin.crt"), c.paths.pki("admin.key"))
		if err != nil {
			t.Fatal(err)
		}
		if err := anonymous.get(t.Context(), "/health", nil); err == nil {
			t.Error("etcd answers to a certificate of the API server's users")
		}
	})
	t.Run("a firewall between node and API server is named, and Up goes on once it is open", func(t *testing.T) {
		bridge := layoutOf(t, c).bridge()
		table := "table ip firewall_of_" + bridge
		if err := nft(t.Context(), table+" { chain input { type filter hook input priority 0; iifname "+bridge+" drop; }; }\n"); err != nil {
			t.Fatalf("nft (package nftables): %v", err)
		}
		open := func() error { return nft(context.WithoutCancel(t.Context()), "add "+table+"\ndelete "+table+"\n") }
		t.Cleanup(func() { _ = open() })
		larger := *c
		larger.config.Nodes = 1
		if err := larger.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "ufw allow in on "+bridge) {
			t.Errorf("Up behind a firewall = %v, want the command that opens it", err)
		}
		if err := open(); err != nil {
			t.Fatal(err)
		}
		if err := larger.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a second supervisor is refused", func(t *testing.T) {
		if err := c.Supervise(t.Context()); err == nil || !strings.Contains(err.Error(), "has a supervisor already") {
			t.Errorf("Supervise = %v", err)
		}
	})
	t.Run("Down removes a cluster whose state was lost", func(t *testing.T) {
		r := remainsOf(t, c)
		killSupervisor(t, c)
		if err := errors.Join(os.Remove(c.paths.state()), os.Remove(c.paths.status())); err != nil {
			t.Fatal(err)
		}
		if err := c.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, c, r); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("what needs a cluster says that there is none", func(t *testing.T) {
		_, err := c.HostAddress()
		if !errors.Is(err, ErrNotUp) || !strings.Contains(err.Error(), "towline cluster up") {
			t.Errorf("HostAddress = %v", err)
		}
		if err := c.TrustRegistry(t.Context(), "r.local", "http://10.78.0.1:1", ""); !errors.Is(err, ErrNotUp) {
			t.Errorf("TrustRegistry = %v", err)
		}
		if status := mustStatus(t, c); status.Up {
			t.Errorf("status = %+v", status)
		}
	})
}

// TestUpNamesAllThatIsMissing changes the environment, so it runs alone.
func TestUpNamesAllThatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c := newCluster(t, Config{Name: "test-missing", Dir: t.TempDir(), Supervisor: []string{"none"}})
	err := c.Up(t.Context())
	if _, ok := errors.AsType[*MissingError](err); !ok {
		t.Fatalf("Up = %v, want a MissingError", err)
	}
	for _, want := range []string{"nft is not on PATH", "nftables", "go is not on PATH", "https://go.dev/dl"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if _, err := os.Stat(c.paths.state()); err == nil {
		t.Error("Up wrote a state although it cannot go on")
	}
}

func upTwiceAtOnce(t *testing.T, c *Cluster) error {
	t.Helper()
	var both errgroup.Group
	for range 2 {
		both.Go(func() error { return c.Up(t.Context()) })
	}
	if err := both.Wait(); err != nil {
		return err
	}
	if status := mustStatus(t, c); !status.Healthy || len(status.Components) != 8 {
		return fmt.Errorf("status after two Ups = %+v, want 8 healthy components", status)
	}
	return nil
}

// trustedImage pushes netcheck to a registry on the cluster's network that
// asks for a password, and returns a name that nodes can pull it by.
func trustedImage(t *testing.T, c *Cluster) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "netcheck")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/netcheck")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build netcheck: %v: %s", err, out)
	}
	image, err := programImage(program)
	if err != nil {
		t.Fatal(err)
	}
	host, err := c.HostAddress()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte("node:secret"))
	inner := registry.New()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != header {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ref, err := name.NewTag(listener.Addr().String()+"/netcheck:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: "node", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	if err := c.TrustRegistry(t.Context(), "images.test", "http://"+listener.Addr().String(), header); err != nil {
		t.Fatal(err)
	}
	return "images.test/netcheck:1"
}

// outsider is a server on another network, which knows the way to this machine
// but not to its pods. It returns the server's address.
func outsider(t *testing.T) string {
	t.Helper()
	space, here, there := filepath.Join(t.TempDir(), "netns"), "198.51.100.1/30", "198.51.100.2/30"
	if err := ensureNetNS(space); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(space, unix.MNT_DETACH) })
	err := inNetNSFile(space, func(fd int) error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "towline-test"
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(fd)})
	})
	if err != nil {
		t.Fatal(err)
	}
	up := func(name, address string) error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return setUp(link, netip.MustParsePrefix(address))
	}
	if err := up("towline-test", here); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	if err := inNetNS(space, func() error {
		if err := up("eth0", there); err != nil {
			return err
		}
		listener, err = net.Listen("tcp4", "198.51.100.2:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello\n"))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}
