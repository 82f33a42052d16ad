package localkube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

// slotsLock guards which cluster has which slot, and the machine's forwarding
// switch, which the clusters share.
var slotsLock = filepath.Join(runRoot, "slots.lock")

// forwardingMark exists while forwarding is on because of a local cluster.
var forwardingMark = filepath.Join(runRoot, "ip_forward.was-off")

// claimSlot finds a slot whose addresses nobody uses and makes it the
// cluster's by creating its bridge. A cluster that had a slot keeps it.
func (c *Cluster) claimSlot(ctx context.Context, had int) (int, error) {
	guard, err := lock(ctx, slotsLock, func() {})
	if err != nil {
		return 0, err
	}
	defer guard.Close()
	var busy []string
	for _, slot := range slotOrder(c.config.Name, had) {
		l := newLayout(slot)
		user, err := slotUser(l, linkAlias(c.config.Name, c.config.Dir))
		if err != nil {
			return 0, err
		}
		if user == "" {
			return slot, ensureBridge(l, linkAlias(c.config.Name, c.config.Dir))
		}
		busy = append(busy, user)
	}
	if had >= 0 {
		return 0, &Error{
			Message: "the addresses of cluster " + c.config.Name + " are in use by another: " + busy[0],
			Hint:    "stop the other one, or run towline cluster down, then up, to get other addresses",
		}
	}
	return 0, &Error{
		Message: "no address range is free for a local cluster: " + strings.Join(busy, "; "),
		Hint:    "stop one of them",
	}
}

// slotOrder is the slots to try. Slot 0 is kept for the default cluster, so
// that its addresses are the documented ones.
func slotOrder(name string, had int) []int {
	if had >= 0 {
		return []int{had}
	}
	var order []int
	for slot := range slots {
		if slot > 0 || name == DefaultName {
			order = append(order, slot)
		}
	}
	return order
}

// slotUser says who uses the addresses of the layout, other than the cluster
// with that alias: "" is nobody.
func slotUser(l layout, alias string) (string, error) {
	link, err := netlink.LinkByName(l.bridge())
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		return "", fmt.Errorf("find bridge %s: %w", l.bridge(), err)
	}
	if err == nil && link.Attrs().Alias == alias {
		return "", nil
	}
	if err == nil && link.Attrs().Alias != "" {
		return fmt.Sprintf("%s belongs to %s", l.bridge(), link.Attrs().Alias), nil
	}
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return "", fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if to, ok := conflict(l, route); ok {
			return fmt.Sprintf("%s is routed to %s", to, linkName(route.LinkIndex)), nil
		}
	}
	return "", nil
}

// conflict tells whether the route leads into the layout's ranges. A route
// for the whole of 10.0.0.0/8, as VPNs have, does not: the cluster takes its
// part out of it.
func conflict(l layout, route netlink.Route) (netip.Prefix, bool) {
	if route.Dst == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(route.Dst.IP.To4())
	bits, _ := route.Dst.Mask.Size()
	if !ok || bits <= 8 {
		return netip.Prefix{}, false
	}
	to := netip.PrefixFrom(addr, bits)
	for _, r := range l.ranges() {
		if r.Overlaps(to) {
			return to, true
		}
	}
	return netip.Prefix{}, false
}

func linkName(index int) string {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return fmt.Sprintf("link %d", index)
	}
	return link.Attrs().Name
}

// findSlot returns the slot that the machine's links show for this cluster,
// for when its state is gone.
func (c *Cluster) findSlot() (int, bool) {
	for slot := range slots {
		link, err := netlink.LinkByName(newLayout(slot).bridge())
		if err == nil && link.Attrs().Alias == linkAlias(c.config.Name, c.config.Dir) {
			return slot, true
		}
	}
	return 0, false
}

const forwardingSwitch = "/proc/sys/net/ipv4/ip_forward"

// enableForwarding lets this machine pass packets on, and remembers if it did
// not do so before.
func enableForwarding(ctx context.Context) error {
	guard, err := lock(ctx, slotsLock, func() {})
	if err != nil {
		return err
	}
	defer guard.Close()
	value, err := os.ReadFile(forwardingSwitch)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(value)) != "0" {
		return nil
	}
	if err := os.WriteFile(forwardingMark, nil, 0o600); err != nil {
		return err
	}
	return sysctl("net/ipv4/ip_forward", "1")
}

// leaveMachine undoes, once the last cluster's bridge is gone, what the
// clusters share: the forwarding switch and the kubelets' fixed directory.
func leaveMachine(ctx context.Context) error {
	guard, err := lock(ctx, slotsLock, func() {})
	if err != nil {
		return err
	}
	defer guard.Close()
	for slot := range slots {
		if _, err := netlink.LinkByName(newLayout(slot).bridge()); err == nil {
			return nil
		}
	}
	if err := removeMatches("/var/lib/kubelet/device-plugins", "kubelet"); err != nil {
		return err
	}
	for _, dir := range []string{"/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/log/containers", "/var/lib/cni/results", "/var/lib/cni"} {
		_ = os.Remove(dir) // Only if it is empty.
	}
	if _, err := os.Stat(forwardingMark); err == nil {
		if err := errors.Join(sysctl("net/ipv4/ip_forward", "0"), os.Remove(forwardingMark)); err != nil {
			return err
		}
	}
	if err := os.Remove(slotsLock); err != nil {
		return err
	}
	_ = os.Remove(runRoot) // Only if it is empty.
	return nil
}
