package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// clientCount is how many clients the load seems to come from. The nodes
// remember a closed connection for two minutes, and one address takes its
// ports for a node again after half a minute at 3,000 requests per second; with
// so many none comes again before four minutes are over. Users are many, too.
const clientCount = 8

// firstClient is the last byte of the first client's address. The nodes' begin
// with 11, and a cluster has few of them.
const firstClient = 201

// addClients gives this machine the clients' addresses in the nodes' network,
// until the stage is closed.
func (st *stage) addClients() ([]netip.Addr, error) {
	nodes, err := st.local.NodeAddresses()
	if err != nil {
		return nil, err
	}
	node, err := netip.ParseAddr(nodes[0])
	if err != nil {
		return nil, fmt.Errorf("read the address of node 1: %w", err)
	}
	routes, err := netlink.RouteGet(node.AsSlice())
	if err != nil || len(routes) == 0 {
		return nil, errors.Join(fmt.Errorf("find the link to the nodes at %s", node), err)
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return nil, fmt.Errorf("find the link to the nodes at %s: %w", node, err)
	}
	var clients []netip.Addr
	for i := range clientCount {
		bytes := node.As4()
		bytes[3] = byte(firstClient + i)
		client := netip.AddrFrom4(bytes)
		address := &netlink.Addr{IPNet: &net.IPNet{IP: client.AsSlice(), Mask: net.CIDRMask(32, 32)}} //nolint:mnd // one address
		if err := netlink.AddrReplace(link, address); err != nil {
			return nil, fmt.Errorf("give %s the address %s: %w", link.Attrs().Name, client, err)
		}
		st.closers = append(st.closers, func() { _ = netlink.AddrDel(link, address) }) // it goes with the cluster at the latest
		clients = append(clients, client)
	}
	return clients, nil
}
