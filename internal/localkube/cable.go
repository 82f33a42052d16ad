package localkube

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// CutOff takes node n, from 1, off the network, as a cable does that is pulled:
// what runs there goes on, and nobody hears of it. Rejoin puts it back. Both are
// for tests of what follows from a lost node; Up mends it too.
func (c *Cluster) CutOff(n int) error { return c.cable(n, netlink.LinkSetDown) }

// Rejoin ends what CutOff has begun.
func (c *Cluster) Rejoin(n int) error { return c.cable(n, netlink.LinkSetUp) }

// cable does something to the link of a node.
func (c *Cluster) cable(n int, do func(netlink.Link) error) error {
	s, err := c.readState()
	if err != nil {
		return err
	}
	if n < 1 || n > s.Nodes {
		return fmt.Errorf("change the network of node %d: the cluster has %d", n, s.Nodes)
	}
	link, err := netlink.LinkByName(newLayout(s.Slot).veth(n))
	if err != nil {
		return fmt.Errorf("change the network of %s: %w", nodeName(n), err)
	}
	if err := do(link); err != nil {
		return fmt.Errorf("change the network of %s: %w", nodeName(n), err)
	}
	return nil
}
