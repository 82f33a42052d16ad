package app

import (
	"context"
	"net"
)

// nodesAddress is where the nodes of a local cluster reach this server: their
// own view of this machine, on the port that the first address asks for.
func (a *App) nodesAddress() (string, error) {
	host, err := a.options.Nodes.HostAddress()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(a.options.Server.Listen[0])
	return net.JoinHostPort(host, port), err
}

// registryHost begins the names of images in the embedded registry.
func (a *App) registryHost() string {
	_, port, _ := net.SplitHostPort(a.server.Address())
	return net.JoinHostPort("localhost", port)
}

// trustNodes tells the local cluster's nodes where the registry is, and no
// password: what a pod may pull is decided by its pull secret, as it is on any
// other cluster.
func (a *App) trustNodes(ctx context.Context) error {
	if a.options.Nodes == nil {
		return nil
	}
	addresses := a.server.Addresses()
	return a.options.Nodes.TrustRegistry(ctx, a.registryHost(), "http://"+addresses[len(addresses)-1], "")
}
