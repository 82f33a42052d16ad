package localkube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ensureHostNetwork makes the bridge between this machine and the nodes, and
// lets pods reach what this machine reaches.
func ensureHostNetwork(ctx context.Context, l layout, name, dir string) error {
	if err := ensureBridge(l, linkAlias(name, dir)); err != nil {
		return err
	}
	if err := enableForwarding(ctx); err != nil {
		return err
	}
	// Pods' addresses mean nothing outside of this machine.
	return nft(ctx, fmt.Sprintf(`
add table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
  comment "towline: pods of a local cluster reach the outside"
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr { %[2]s, %[3]s } oifname != { "lo", "%[1]s" } masquerade
  }
}
`, l.bridge(), l.network(), l.pods()))
}

func ensureBridge(l layout, alias string) error {
	link, err := netlink.LinkByName(l.bridge())
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = l.bridge()
		// Without an address of its own a bridge takes that of its lowest port,
		// and neighbours lose it whenever a node comes or goes.
		attributes.HardwareAddr = net.HardwareAddr{0x02, 0x74, 0x6c, byte(l.slot), 0, 1}
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
			return fmt.Errorf("create bridge %s: %w", l.bridge(), err)
		}
		link, err = netlink.LinkByName(l.bridge())
	}
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", l.bridge(), err)
	}
	if err := netlink.LinkSetAlias(link, alias); err != nil {
		return fmt.Errorf("name bridge %s: %w", l.bridge(), err)
	}
	return setUp(link, netip.PrefixFrom(l.host(), l.network().Bits()))
}

// setUp gives the link its address and switches it on.
func setUp(link netlink.Link, prefix netip.Prefix) error {
	name := link.Attrs().Name
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, prefix, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switch on %s: %w", name, err)
	}
	return nil
}

// ensureNodeNetwork gives node n its network namespace with one link to the
// bridge, and the ways to the pods of all the other nodes.
func ensureNodeNetwork(l layout, p paths, n, nodes int) error {
	if err := ensureNetNS(p.netns(n)); err != nil {
		return err
	}
	if err := ensureVeth(l, p, n); err != nil {
		return err
	}
	err := inNetNS(p.netns(n), func() error {
		loopback, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(loopback); err != nil {
			return err
		}
		uplink, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := setUp(uplink, netip.PrefixFrom(l.node(n), l.network().Bits())); err != nil {
			return err
		}
		for m := 1; m <= nodes; m++ {
			if m == n {
				continue
			}
			if err := routeVia(l.nodePods(m), l.node(m)); err != nil {
				return err
			}
		}
		if err := routeVia(netip.MustParsePrefix("0.0.0.0/0"), l.host()); err != nil {
			return err
		}
		return sysctl("net/ipv4/ip_forward", "1")
	})
	if err != nil {
		return fmt.Errorf("set up the network of %s: %w", nodeName(n), err)
	}
	if err := routeVia(l.nodePods(n), l.node(n)); err != nil {
		return err
	}
	if n == 1 {
		// kube-proxy runs on the nodes only. Through node 1 this machine and the
		// API server reach Services as well, such as those of webhooks.
		return routeVia(l.services(), l.node(1))
	}
	return nil
}

// ensureVeth joins the bridge and eth0 in the node's namespace by a pair of
// virtual links.
func ensureVeth(l layout, p paths, n int) error {
	bridge, err := netlink.LinkByName(l.bridge())
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", l.bridge(), err)
	}
	link, err := netlink.LinkByName(l.veth(n))
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		err = inNetNSFile(p.netns(n), func(fd int) error {
			attributes := netlink.NewLinkAttrs()
			attributes.Name = l.veth(n)
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(fd)})
		})
		if err != nil {
			return fmt.Errorf("link %s to %s: %w", nodeName(n), l.bridge(), err)
		}
		link, err = netlink.LinkByName(l.veth(n))
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", l.veth(n), err)
	}
	if err := netlink.LinkSetMaster(link, bridge); err != nil {
		return fmt.Errorf("attach %s to %s: %w", l.veth(n), l.bridge(), err)
	}
	return netlink.LinkSetUp(link)
}

func inNetNSFile(path string, run func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	return run(fd)
}

// routeVia sends packets for the range to the gateway, in the calling thread's
// network namespace.
func routeVia(to netip.Prefix, gateway netip.Addr) error {
	route := netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice()}
	if err := netlink.RouteReplace(&route); err != nil {
		return fmt.Errorf("route %s via %s: %w", to, gateway, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// removeNetwork takes away the cluster's links, with which its routes go, and
// its nft table. The network namespaces go with their mounts.
func removeNetwork(ctx context.Context, l layout) error {
	var errs []error
	links, err := whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		if name := link.Attrs().Name; name == l.bridge() || isVeth(name, l) {
			err := netlink.LinkDel(link)
			// The link of a node also goes by itself, with its namespace.
			if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, fmt.Errorf("delete link %s: %w", name, err))
			}
		}
	}
	// Adding first makes the deletion of a table that is not there succeed.
	errs = append(errs, nft(ctx, fmt.Sprintf("add table ip %[1]s\ndelete table ip %[1]s\n", l.bridge())))
	return errors.Join(errs...)
}

// whole lists until nothing has changed in the middle of a list, which the
// kernel tells: pods and other clusters make and remove links all the time.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 50
	for attempt := 1; ; attempt++ {
		found, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || attempt == attempts {
			return found, err
		}
	}
}

func isVeth(name string, l layout) bool {
	prefix := l.bridge() + "n"
	return len(name) > len(prefix) && name[:len(prefix)] == prefix
}
