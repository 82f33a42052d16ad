package app

import (
	"context"
	"encoding/base64"
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

// trustNodes lets the local cluster's nodes pull, and only pull.
func (a *App) trustNodes(ctx context.Context) error {
	if a.options.Nodes == nil {
		return nil
	}
	secret := base64.StdEncoding.EncodeToString([]byte("pull:" + a.tokens.Pull))
	addresses := a.server.Addresses()
	return a.options.Nodes.TrustRegistry(ctx, a.registryHost(), "http://"+addresses[len(addresses)-1], "Basic "+secret)
}
