package localkube

import (
	"fmt"
	"net/netip"
)

// slots is how many clusters one machine can hold at once.
const slots = 10

// layout is the addressing of one cluster. Clusters differ by their slot, 0
// to 9, so that several can be up at once without knowing of each other.
type layout struct{ slot int }

func newLayout(slot int) layout { return layout{slot: slot} }

// network joins this machine and the nodes: 10.78.0.0/24 for slot 0.
func (l layout) network() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(78 + l.slot), 0, 0}), 24)
}

// pods is the range of all pods, of which each node has a /24.
func (l layout) pods() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(245 + l.slot), 0, 0}), 16)
}

func (l layout) services() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(97 + l.slot), 0, 0}), 16)
}

func (l layout) host() netip.Addr { return l.network().Addr().Next() }

// node returns the address of node n: 10.78.0.11 for node 1 of slot 0.
func (l layout) node(n int) netip.Addr {
	a := l.network().Addr().As4()
	a[3] = byte(10 + n)
	return netip.AddrFrom4(a)
}

func (l layout) nodePods(n int) netip.Prefix {
	a := l.pods().Addr().As4()
	a[2] = byte(n)
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

// apiService is the first address of the services, which Kubernetes gives to
// the Service "kubernetes".
func (l layout) apiService() netip.Addr { return l.services().Addr().Next() }

func (l layout) dnsService() netip.Addr {
	a := l.services().Addr().As4()
	a[3] = 10
	return netip.AddrFrom4(a)
}

// loopback is where the control plane's inner ports are. Each cluster has a
// loopback address of its own, so their ports never meet.
func (l layout) loopback() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(78 + l.slot), 0, 1})
}

func (l layout) apiServer() string { return "https://" + address(l.host(), apiPort) }
func (l layout) etcd() string      { return "https://" + address(l.loopback(), etcdPort) }

func address(host netip.Addr, port uint16) string {
	return netip.AddrPortFrom(host, port).String()
}

// ranges are the address ranges that the cluster uses, in a fixed order.
func (l layout) ranges() []netip.Prefix {
	return []netip.Prefix{l.network(), l.pods(), l.services()}
}

// The names of links. A link's name has 15 bytes at most, so they carry the
// slot and not the cluster's name, which is in the link's alias.
func (l layout) bridge() string         { return fmt.Sprintf("towline%d", l.slot) }
func (l layout) veth(n int) string      { return fmt.Sprintf("towline%dn%d", l.slot, n) }
func linkAlias(name, dir string) string { return "towline cluster " + name + " " + dir }

// The ports of the control plane. CoreDNS is not on 53, which a resolver of
// the machine may hold on all addresses; the Service maps 53 to it.
const (
	apiPort       = 6443
	etcdPort      = 2379
	etcdPeerPort  = 2380
	managerPort   = 10257
	schedulerPort = 10259
	kubeletPort   = 10250
	dnsPort       = 1053
	dnsReadyPort  = 8181
)
